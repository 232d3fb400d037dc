from __future__ import annotations

import pytest
import torch

from benchmark import contenders
from modernet.benchmark import Case, Trap, find_traps
from modernet.benchmark.case import LAYOUTS
from modernet.benchmark.questions import traps
from modernet.benchmark.questions.traps import (
    KERNEL_SIZES,
    best_dtype,
    case_traps,
    choices_around,
    kernel_traps,
    time_kernels,
)
from modernet.machine.timing import Ratio
from modernet.records import Record

CPU = torch.device("cpu")
BEST = Case("convnext_test", "infer", "bfloat16", "channels_last", "default", 2, 32, threads=2)


def test_each_choice_changes_one_option_of_the_best() -> None:
    choices = list(choices_around(BEST, CPU))
    assert [choice.text for choice in choices] == [
        "convnext_test: layout contiguous instead of channels_last",
        "convnext_test: compile off instead of default",
        "convnext_test: layout contiguous instead of channels_last in bfloat16, not compiled",
        "convnext_test: layout contiguous instead of channels_last in float32, not compiled",
        "convnext_test: dtype float32 instead of bfloat16",
        "convnext_test: threads 1 instead of 2",
        "convnext_test: batch 1 instead of 2",
    ]
    for choice in choices:
        differing = [name for name, value in vars(choice.worse).items() if value != getattr(choice.better, name)]
        assert len(differing) == 1


def test_on_a_gpu_float32_is_compared_with_tf32() -> None:
    choice = list(choices_around(BEST, torch.device("cuda", 0)))[-1]
    assert (choice.better.dtype, choice.worse.dtype) == ("tf32", "float32")
    assert "set_float32_matmul_precision" in choice.fix


@pytest.mark.parametrize(
    ("bfloat16", "best"), [(0.3, "bfloat16"), (0.11, "float32"), (0.01, "float32"), (None, "float32")]
)
def test_a_cpu_without_fast_bfloat16_gets_float32(bfloat16: float | None, best: str) -> None:
    speeds = {"float32": 0.1, "bfloat16": bfloat16}
    assert best_dtype(CPU, lambda device, dtype: speeds[dtype]) == best


def test_a_choice_costs_its_time_relative_to_the_better_one_and_failed_cases_are_left_out() -> None:
    choices = list(choices_around(BEST, CPU))
    records = {
        case: Record(
            "benchmark",
            case.model,
            settings={},
            metrics={},
            history=[{"seconds": 3.0 if case.compile == "off" else 1.0}] * 3,
            error="out of memory" if case.layout == "contiguous" else None,
        )
        for choice in choices
        for case in (choice.better, choice.worse)
    }
    costs = {trap.choice: trap.cost.median for trap in case_traps(choices, records) if trap.cost}
    assert list(costs) == [choice.text for choice in choices if choice.worse.layout == "channels_last"]
    assert list(costs.values()) == [3.0, 1.0, 1.0, 2.0]  # the last is one image in the time of two


def test_a_trap_costs_time_beyond_the_noise() -> None:
    assert Trap("compile off", Ratio(1.2, 1.1, 1.3), "").is_trap
    assert not Trap("depthwise 9x9", Ratio(4.0, 0.9, 5.0), "").is_trap


@pytest.mark.medium
@pytest.mark.usefixtures("peaks")
def test_traps_are_sorted_by_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    monkeypatch.setattr(traps, "best_dtype", lambda device: "float32")
    name = f"{contenders.__name__}:averages"
    found, records = find_traps([name], batch=2, image_size=32, device="cpu", threads=1, rounds=1, turn_s=0.0)
    costs = [trap.cost.median for trap in found if trap.cost]
    assert costs == sorted(costs, reverse=True)
    assert [record.error for record in records] == [None] * len(records)
    layouts_and_sizes = len(KERNEL_SIZES) + 2 * 3
    of_processor = ["MLP of 384 channels: bfloat16", "MLP of 384 channels, compiled", "OpenVINO's own choice"]
    assert len(found) == len(records) - 1 + layouts_and_sizes + len(of_processor)
    assert all(any(trap.choice.startswith(start) for trap in found) for start in of_processor)


def test_every_kernel_size_is_timed_in_both_layouts() -> None:
    times = time_kernels(BEST, CPU, rounds=2, turn_s=0.0)
    assert list(times) == [(size, layout) for size in KERNEL_SIZES for layout in LAYOUTS]
    assert all(len(seconds) == 2 for seconds in times.values())


def test_kernels_cost_their_slower_layout_and_the_time_beyond_their_arithmetic() -> None:
    times = {
        (size, layout): [size**2 * (2.0 if layout == "contiguous" else 1.0) * (3.0 if size == 13 else 1.0)] * 2
        for size in KERNEL_SIZES
        for layout in LAYOUTS
    }
    costs = {trap.choice: trap.cost.median for trap in kernel_traps(times) if trap.cost}
    layouts = {choice: cost for choice, cost in costs.items() if "instead of" in choice}
    assert list(layouts.values()) == [2.0] * len(KERNEL_SIZES)
    growth = {choice: cost for choice, cost in costs.items() if "instead of" not in choice}
    assert list(growth.values()) == pytest.approx([1.0] * 4 + [3.0] * 2)  # 9, 11 and 13 in both layouts


def test_a_layout_is_slower_or_faster_and_not_both() -> None:
    """Over an even number of rounds, the medians of a ratio and of its inverse can both be above 1."""
    times = {
        (size, layout): [1.0, 4.0] if layout == "channels_last" else [2.0, 1.0]
        for size in KERNEL_SIZES
        for layout in LAYOUTS
    }
    found = [trap.choice for trap in kernel_traps(times) if "layout" in trap.choice]
    assert found == [f"depthwise {k}x{k}: layout channels_last instead of contiguous" for k in KERNEL_SIZES]
