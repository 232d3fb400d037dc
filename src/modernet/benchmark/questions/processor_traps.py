"""The traps of a processor: emulated bfloat16, the library of matrix products, and what OpenVINO computes in."""

from __future__ import annotations

import importlib
import itertools
import statistics
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from modernet.benchmark.case import Case
from modernet.benchmark.questions.trap import Trap
from modernet.benchmark.workload import random_batches
from modernet.deploy.running.torch_ways import TorchRunner, TorchWay
from modernet.errors import one_line
from modernet.machine.timing import speed_ratio, time_in_turns
from modernet.preparation import as_size

_CHANNELS, _HIDDEN, _STRIDE = 384, 1536, 16  # of ConvNeXt-T's third stage, which has half of its blocks
_MLP = "MLP of 384 channels"
_CPU = torch.device("cpu")


def processor_traps(case: Case, *, rounds: int, turn_s: float) -> list[Trap]:
    """Measure the traps of this processor on an MLP of ConvNeXt-T's third stage.

    Args:
        case: gives batch, image size and the dtype that is fastest here.
    """
    return [
        bfloat16_trap(case, rounds=rounds, turn_s=turn_s),
        product_trap(case, rounds=rounds, turn_s=turn_s),
        openvino_trap(),
    ]


def bfloat16_trap(case: Case, *, rounds: int, turn_s: float) -> Trap:
    """Compare bfloat16 with float32, where the processor has no arithmetic for it."""
    choice = f"{_MLP}: bfloat16 instead of float32"
    if case.dtype == "bfloat16":
        return Trap(choice, note="faster on this processor")
    calls = {
        dtype: _on_batches(mlp().to(getattr(torch, dtype)), replace(case, dtype=dtype))
        for dtype in ("float32", "bfloat16")
    }
    times = time_in_turns(calls, _CPU, rounds=rounds, turn_s=turn_s, name="timing bfloat16")
    fix = "float32, or int8: without AMX or AVX512-BF16 bfloat16 is emulated"
    return Trap(choice, speed_ratio(times["float32"], times["bfloat16"]), fix)


def product_trap(case: Case, *, rounds: int, turn_s: float) -> Trap:
    """Compare the two libraries that `torch.compile` with frozen weights has for products in float32.

    With a known batch size they go to MKL, otherwise to oneDNN, which computes activations and sums on the way.
    """
    ways = {
        f"{name} products": TorchWay(False, compiled=True, any_batch=name == "oneDNN") for name in ("MKL", "oneDNN")
    }
    choice, single = f"{_MLP}, compiled with frozen weights", replace(case, dtype="float32")
    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return Trap(choice, note="this torch has no MKL")
    if case.batch == 1:
        return Trap(choice, note="needs a batch of 2 or more")
    calls = {name: _on_batches(TorchRunner(mlp(), way, torch.float32), single) for name, way in ways.items()}
    try:
        times = time_in_turns(calls, _CPU, rounds=rounds, turn_s=turn_s, name="timing matrix products")
    except Exception as error:  # no compiler
        return Trap(choice, note=one_line(error, with_type=True))
    faster, slower = sorted(ways, key=lambda name: statistics.median(times[name]))
    fix = "modernet.optimize(network, images), which measures both"
    return Trap(f"{choice}: {slower} instead of {faster}", speed_ratio(times[faster], times[slower]), fix)


def openvino_trap() -> Trap:
    """Ask OpenVINO what it computes a network in float32 in, if no precision is asked for."""
    choice = "OpenVINO's own choice of precision"
    try:
        openvino = importlib.import_module("openvino")
    except ImportError:
        return Trap(choice, note="OpenVINO is not installed")
    scores = openvino.opset13.parameter([1, 16])
    model = openvino.Model([openvino.opset13.relu(scores)], [scores])
    chosen = openvino.Core().compile_model(model, "CPU").get_property("INFERENCE_PRECISION_HINT")
    if chosen == openvino.Type.f32:
        return Trap(choice, note="float32 on this processor")
    fix = '{"INFERENCE_PRECISION_HINT": "f32"}, or check the answers'
    return Trap(choice, fix=fix, note=f"computes in {chosen.get_type_name()} without being asked to")


def mlp() -> nn.Module:
    """Return two products with GELU between them, as in a block of ConvNeXt."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(_CHANNELS, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, _CHANNELS)).eval()


def _on_batches(network: nn.Module, case: Case) -> Callable[[], Tensor]:
    assert case.batch is not None
    height, width = (max(1, side // _STRIDE) for side in as_size(case.size))
    shape = (case.batch, height, width, _CHANNELS)
    rotation = itertools.cycle(random_batches(shape, case.tensor_dtype, torch.contiguous_format, _CPU))

    def call() -> Tensor:
        with torch.inference_mode():
            y: Tensor = network(next(rotation))
        return y

    return call
