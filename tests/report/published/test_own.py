from __future__ import annotations

from typing import Any

from modernet.records import Record
from modernet.report.published.own import OwnPoint, own_points

CASE = {
    "benchmark": "b", "index": 0, "model": "convnext_tiny", "mode": "infer", "dtype": "float32", "layout": "contiguous",
    "compile": "off", "batch": 8, "image_size": 224, "device": "cpu", "threads": 2,
}  # fmt: skip


def benchmarked(speed: float, **changes: Any) -> Record:
    metrics = {"top1": 82.1, "params": 28.589e6, "macs": 4.4555e9, "images_per_second": speed}
    return Record("benchmark", "case", {**CASE, **changes}, metrics, environment={"device": "CPU, 2 threads"})


def test_a_network_has_the_fastest_of_its_settings() -> None:
    (point,) = own_points(
        [benchmarked(10.0), benchmarked(12.0, compile="default"), benchmarked(11.0, dtype="bfloat16")]
    )
    assert point == OwnPoint("convnext_tiny", 224, 82.1, 28.589, 4.455, 12.0, "CPU, 2 threads")


def test_a_speed_at_another_size_than_the_accuracy_is_scaled_and_says_so() -> None:
    (point,) = own_points([benchmarked(40.0, image_size=112)])
    assert point.name == "convnext_tiny, speed scaled from 112 pixels"
    assert (point.image_size, point.speed) == (224, 10.0)
    assert point.values()["scaled"] == {"CPU, 2 threads": 112}  # drawn pale, as published ones are
    (measured,) = own_points([benchmarked(10.0)])
    assert "scaled" not in measured.values()


def test_what_has_no_place_among_published_results_is_left_out() -> None:
    training = benchmarked(5.0, mode="train")
    unknown = benchmarked(5.0, model="timm:convnext_tiny")
    failed = Record("benchmark", "case", CASE, {"top1": 82.1}, error="out of memory")
    assert own_points([training, unknown, failed]) == []


def test_only_what_was_tested_on_imagenet_is_comparable() -> None:
    def tested(data: str) -> Record:
        settings = {
            "task": "classification",
            "data": {"name": data},
            "preparation": {"image_size": 288},
            "split": "test",
        }
        return Record("evaluate", "convnext_tiny.fb_in1k", settings, {"test_top1": 82.5})

    (point,) = own_points([tested("imagenet"), tested("my_photos")])
    assert (point.name, point.image_size, point.top1) == ("convnext_tiny.fb_in1k, tested here", 288, 82.5)
    assert point.speed is None
