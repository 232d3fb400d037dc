from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch

from modernet.benchmark import Case, Trap, find_traps
from modernet.benchmark.questions import traps
from modernet.machine.peaks import Peaks
from modernet.machine.timing import Ratio
from modernet.records import Record

CPU = torch.device("cpu")
BEST = Case("convnext_test", "infer", "bfloat16", "channels_last", "default", 2, 32, threads=2)


def test_choices_differ_from_the_best_in_one_option() -> None:
    choices = list(traps._choices(BEST, CPU))
    assert [choice.what for choice in choices] == [
        "convnext_test: layout contiguous instead of channels_last",
        "convnext_test: compile off instead of default",
        "convnext_test: dtype float32 instead of bfloat16",
        "convnext_test: threads 1 instead of 2",
    ]
    for choice in choices:
        differing = [name for name, value in vars(choice.worse).items() if value != getattr(choice.better, name)]
        assert len(differing) == 1


def test_on_a_gpu_float32_is_held_against_tf32_too() -> None:
    choice = list(traps._choices(BEST, torch.device("cuda", 0)))[-1]
    assert (choice.better.dtype, choice.worse.dtype) == ("tf32", "float32")
    assert "set_float32_matmul_precision" in choice.mend


@pytest.mark.parametrize(("bfloat16", "best"), [(0.3, "bfloat16"), (0.11, "float32"), (0.01, "float32")])
def test_a_cpu_that_multiplies_bfloat16_no_faster_gets_float32(
    bfloat16: float, best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Peaks({"float32": 0.1, "bfloat16": bfloat16}, 10.0)
    monkeypatch.setattr(traps, "measure_peaks", lambda device, dtypes: known)
    assert traps._best_dtype(CPU) == best


def test_traps_are_sorted_by_cost_and_a_failed_case_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_cases(cases: Sequence[Case], *_: Any, **__: Any) -> list[Record]:
        return [
            Record(
                "benchmark",
                case.model,
                settings={},
                metrics={},
                history=[{"seconds": 3.0 if case.compile == "off" else 1.0}] * 3,
                error="out of memory" if case.layout == "contiguous" else None,
            )
            for case in cases
        ]

    kernel = Trap("depthwise 9x9", Ratio(4.0, 0.9, 5.0), "mend")
    monkeypatch.setattr(traps, "run_cases", run_cases)
    monkeypatch.setattr(traps, "_best_dtype", lambda device: "float32")
    monkeypatch.setattr(traps, "_kernel_traps", lambda *_, **__: iter([kernel]))
    found, records = find_traps(["convnext_test"], batch=2, image_size=32, device="cpu", threads=1)
    assert len(records) == 3
    assert found[0] == kernel
    assert not kernel.is_one  # its interval holds 1
    assert (found[1].what, found[1].cost) == ("convnext_test: compile off instead of default", Ratio(3.0, 3.0, 3.0))
    assert found[1].is_one
    assert len(found) == 2


def test_every_kernel_size_is_timed_in_both_layouts() -> None:
    found = list(traps._kernel_traps(BEST, CPU, rounds=2, turn_s=0.0))
    layouts = [trap for trap in found if "layout" in trap.what]
    growth = [trap for trap in found if "for its arithmetic" in trap.what]
    assert len(layouts) == 6  # one for each size: its slower layout
    assert len(growth) == 6  # 9, 11 and 13 in both layouts
    assert all(trap.cost.low <= trap.cost.median <= trap.cost.high for trap in found)


def test_no_layout_is_slower_than_the_other_and_faster_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over an even number of rounds, the medians of a ratio and of its inverse can both be above 1."""

    def time_in_turns(calls: Mapping[str, Any], *_: Any, **__: Any) -> dict[str, list[float]]:
        return {name: [1.0, 4.0] if "channels_last" in name else [2.0, 1.0] for name in calls}

    monkeypatch.setattr(traps, "time_in_turns", time_in_turns)
    found = [trap.what for trap in traps._kernel_traps(BEST, CPU, rounds=2, turn_s=0.0) if "layout" in trap.what]
    assert found == [f"depthwise {k}x{k}: layout channels_last instead of contiguous" for k in traps.KERNEL_SIZES]
