"""Made-up records of a comparison: answers drawn with images that are hard for all, and seeds of unequal luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modernet.records import Metric, Record
from modernet.report.compare.compared import Compared, Measurement

TOP1 = Metric("top1", "top-1")
NETWORKS = {
    "convnext_nano": (2.9, 410.0, 15.6e6),
    "swin_test": (2.8, 150.0, 21.0e6),
    "timm:resnet18": (2.2, 900.0, 11.2e6),
    "mobilenet": (1.9, 700.0, 4.2e6),
    "vit_tiny": (1.2, 620.0, 5.5e6),
    "resnet50": (2.75, 300.0, 23.5e6),
}
"""Name -> how easy images are, images per second, parameters."""


def compared_record(
    name: str,
    right: Sequence[str] = (),
    *,
    score: Sequence[float] | None = None,
    order: int = 0,
    speed: float | None = 100.0,
    params: float = 1e6,
    n: int = 600,
    metric: Metric = TOP1,
    created: str = "2026-12-01T10:00:00+00:00",
    **fields: Any,
) -> Record:
    """Return the record of a candidate with answers, or with scores alone."""
    scores = [100 * each.count("1") / len(each) for each in right] if score is None else list(score)
    images_per_second = Metric("images_per_second", "images/s", "images/s", 0, limits=(0.0, None))
    measured = [Measurement(Metric("params", "parameters", "", 0, False, (0.0, None)), (params,))]
    if speed is not None:
        measured.append(Measurement(images_per_second, (speed,), 0.97 * speed, 1.03 * speed))
        latency = Metric("latency_ms", "latency", "ms", 2, False, (0.0, None))
        measured.append(Measurement(latency, (900 / speed,)))
    if scores:
        measured.append(Measurement(Metric("corrupted", "corrupted"), tuple(each - 12 for each in scores)))
    values: dict[str, Any] = {
        "comparison": "0123456789ab", "order": order, "candidate": name, "model": name, "task": "classification",
        "data": {"name": "flowers12", "n_train": 800, "n_test": n, "image_size": 64, "fingerprint": "ab12"},
        "recipe": "small_data", "budget": "equal-epochs", "epochs": 20, "seconds": 60.0, "tuned": {}, "trials": (),
        "weights": None, "licence": None, "seeds": tuple(range(len(scores))), "score": tuple(scores),
        "validation": tuple(scores), "n_test": n, "right": tuple(right), "measured": tuple(measured), "failed": {},
    }  # fmt: skip
    record = Compared(**(values | fields)).to_record(metric, "cpu")
    record.environment.clear()
    record.environment.update(created=created, device="CPU, 2 threads", workers=2, platform="Linux", versions={})
    return record


def answers(ease: Mapping[str, float], seeds: int = 3, n: int = 600, luck: float = 0.12) -> dict[str, list[str]]:
    """Return answers of each network as `Compared.right` has them."""
    chance = np.random.default_rng(11)
    difficulty = 1.6 * chance.normal(size=n)
    drawn = {}
    for name, base in ease.items():
        own = 0.9 * chance.normal(size=n)
        right = base + difficulty + own + luck * chance.normal(size=(seeds, 1)) + chance.normal(size=(seeds, n)) > 0
        drawn[name] = ["".join("01"[int(each)] for each in row) for row in right]
    return drawn


def compared_records(seeds: int = 3, n: int = 600, **fields: Any) -> list[Record]:
    """Return the records of six candidates in the order of `NETWORKS`."""
    drawn = answers({name: ease for name, (ease, _, _) in NETWORKS.items()}, seeds, n)
    return [
        compared_record(name, drawn[name], order=order, speed=speed, params=params, n=n, **fields)
        for order, (name, (_, speed, params)) in enumerate(NETWORKS.items())
    ]


def training_records(seeds: int = 2, phase: str = "final") -> list[Record]:
    """Return training runs of two candidates."""
    return [
        Record(
            "train",
            name,
            {"study": "compare", "comparison": "0123456789ab", "candidate": name, "phase": phase,
             "model": name, "seed": seed,
             "data": {"name": "flowers12"}, "recipe": {"name": "small_data", "epochs": 3}},
            {"test_top1": 80.0, "test_n": 600},
            [{"epoch": epoch, "train_loss": 2 / epoch, "validation_top1": 25.0 * epoch} for epoch in (1, 2, 3)],
            {"created": "2026-12-01T09:00:00+00:00"},
        )
        for name in ("convnext_nano", "swin_test")
        for seed in range(seeds)
    ]  # fmt: skip
