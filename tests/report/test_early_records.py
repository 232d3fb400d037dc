"""Records of early versions, as they are committed: they have no `task_metrics`, and must read as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from modernet.records import Record, read_records
from modernet.report import (
    BenchmarkCase,
    FactorialPlace,
    RoadPlace,
    summarise_benchmarks,
    summarise_factorials,
    summarise_road,
)

ROOT = Path(__file__).parents[2]


def test_an_early_road_has_its_published_numbers() -> None:
    (road,) = summarise_road(read_records(ROOT / "docs/results/roadmap-nano-digit_scenes"))
    assert len(road.steps) == 14
    first, last = road.steps[0], road.steps[-1]
    assert (first.title, last.title) == ("ResNet-nano", "Separate downsampling")
    assert first.test_scores == pytest.approx((79.0, 75.3, 73.6))
    assert road.steps[1].delta == pytest.approx(16.9667, abs=1e-4)
    interval = road.steps[1].interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((11.17353, 22.75980), abs=1e-4)
    assert road.metric.title == "top-1"
    assert road.published_of == "ResNet-50 to ConvNeXt-T"


def test_an_early_factorial_study_has_its_published_effects() -> None:
    (study,) = summarise_factorials(read_records(ROOT / "docs/results/factorial-nano-digit_scenes"))
    assert study.effects is not None
    norm = next(effect for effect in study.effects.main if effect.terms == (("layer_norm",),))
    assert norm.value == pytest.approx(-18.153125, abs=1e-4)
    assert norm.interval is not None
    assert (norm.interval.low, norm.interval.high) == pytest.approx((-23.054376, -13.251874), abs=1e-4)


def test_an_early_benchmark_has_its_published_speeds() -> None:
    (run,) = summarise_benchmarks(read_records(ROOT / "benchmarks/results/cpu-amd-epyc-zoo"))
    first = run.cases[0]
    assert BenchmarkCase.from_record(first).ratio_to == "resnet50 infer float32 channels_last"
    assert first.metrics["images_per_second"] == pytest.approx(18.0903, abs=1e-4)


def test_places_are_read_back_as_they_were_written() -> None:
    step = RoadPlace("nano", "8a", 8, "kernel_5", "Kernel 5x5", "Grows.", True, 80.35, "ResNet-50 to ConvNeXt-T")
    network = FactorialPlace("nano", 3, 8, {"gelu": "ReLU to GELU"}, {"gelu": -1})
    case = BenchmarkCase("id", 2, "swin_tiny", "infer", "float32", "contiguous", "off", 8, 224, "cpu", 2, 9, 0.25, "x")
    common = {"data": {}, "recipe": {}}
    assert RoadPlace.from_record(Record("train", "x", step.to_settings() | common, {})) == step
    assert FactorialPlace.from_record(Record("train", "x", network.to_settings() | common, {})) == network
    assert BenchmarkCase.from_record(Record("benchmark", "x", case.to_settings(), {})) == case
