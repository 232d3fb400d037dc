from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modernet.benchmark import Case
from modernet.benchmark.questions import processor_traps
from modernet.benchmark.questions.processor_traps import bfloat16_trap, openvino_trap, product_trap
from modernet.deploy.running.torch_ways import TorchWay
from modernet.machine.timing import Ratio

CASE = Case("convnext_test", "infer", "float32", "channels_last", "default", 2, 32, threads=1)


class Worker(nn.Module):
    """Works for so many seconds by `Worker.clock`."""

    clock = 0.0

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape == (2, 2, 2, 384)  # a stage of stride 16
        Worker.clock += self.seconds * (4 if x.dtype == torch.bfloat16 else 1)
        return x


@pytest.fixture(autouse=True)
def _by_the_clock_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def time_in_turns(calls: dict[str, Any], device: torch.device, *, rounds: int, **_: Any) -> dict[str, list[float]]:
        times = {}
        for name, call in calls.items():
            start = Worker.clock
            call()
            times[name] = [Worker.clock - start] * rounds
        return times

    monkeypatch.setattr(processor_traps, "time_in_turns", time_in_turns)


def test_bfloat16_costs_what_it_takes_compared_with_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor_traps, "mlp", lambda: Worker(1.0))
    trap = bfloat16_trap(CASE, rounds=5, turn_s=0.0)
    assert trap.is_trap
    assert trap.cost == Ratio(4.0, 4.0, 4.0)


def test_where_bfloat16_is_the_faster_one_it_is_no_trap() -> None:
    trap = bfloat16_trap(replace(CASE, dtype="bfloat16"), rounds=5, turn_s=0.0)
    assert (trap.cost, trap.note) == (None, "faster on this processor")


@pytest.mark.parametrize(("faster", "slower"), [("MKL", "oneDNN"), ("oneDNN", "MKL")])
def test_of_two_libraries_for_products_the_slower_is_the_trap(
    faster: str, slower: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def runner(network: nn.Module, way: TorchWay, dtype: torch.dtype) -> nn.Module:
        assert way.compiled
        return Worker(1.0 if ("oneDNN" if way.any_batch else "MKL") == faster else 3.0)

    monkeypatch.setattr(processor_traps, "TorchRunner", runner)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    trap = product_trap(CASE, rounds=5, turn_s=0.0)
    assert trap.choice.endswith(f"{slower} products instead of {faster} products")
    assert trap.cost == Ratio(3.0, 3.0, 3.0)


def test_what_cannot_be_measured_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(x: Tensor) -> Tensor:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(processor_traps, "TorchRunner", lambda *_: no_compiler)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert product_trap(CASE, rounds=5, turn_s=0.0).note == "RuntimeError: no C++ compiler"
    assert product_trap(replace(CASE, batch=1), rounds=5, turn_s=0.0).note == "needs a batch of 2 or more"
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert product_trap(CASE, rounds=5, turn_s=0.0).note == "this torch has no MKL"
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert openvino_trap().note == "OpenVINO is not installed"


@pytest.mark.parametrize(
    ("chosen", "note", "has_fix"),
    [("f32", "float32 on this processor", False), ("bf16", "computes in bf16 without being asked to", True)],
)
def test_openvino_is_asked_what_it_computes_in(
    chosen: str, note: str, has_fix: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = {name: SimpleNamespace(get_type_name=lambda name=name: name) for name in ("f32", "bf16")}
    program = SimpleNamespace(get_property={"INFERENCE_PRECISION_HINT": types[chosen]}.__getitem__)
    nothing: Any = lambda *_: None  # noqa: E731
    opset13 = SimpleNamespace(parameter=nothing, relu=nothing)
    fake = SimpleNamespace(
        opset13=opset13,
        Model=nothing,
        Type=SimpleNamespace(**types),
        Core=lambda: SimpleNamespace(compile_model=lambda model, device: program),
    )
    monkeypatch.setitem(sys.modules, "openvino", fake)
    trap = openvino_trap()
    assert (trap.note, bool(trap.fix)) == (note, has_fix)
