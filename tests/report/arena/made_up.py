"""Made-up records of an arena, for tests of its report and its command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modernet.records import Metric, Record

FLOORS = {
    "listops": {"the root operator": 36.5, "the most frequent class": 17.2},
    "image": {"the most frequent class": 10.0},
    "pathfinder": {"the most frequent class": 50.4},
}
SCORES = {
    "transformer": {"listops": (36.0, 37.0, 36.2), "image": (42.0, 41.0, 43.0), "pathfinder": (50.0, 52.0, 51.0)},
    "s4": {"listops": (57.0, 58.0, 59.0), "image": (86.0, 87.0, 87.5), "pathfinder": (85.0, 86.0, 87.0)},
    "local_lra": {"listops": (17.0, 17.5, 17.1), "image": (41.0, 41.5, 42.0), "pathfinder": (66.0, 67.0, 65.0)},
}
"""Model -> task -> test accuracy of seeds 0, 1, 2."""


def arena_record(
    model: str,
    task: str,
    score: float = 50.0,
    *,
    seed: int = 0,
    pretraining: str | None = None,
    task_kind: str = "sequences",
    error: str | None = None,
    n: int = 1000,
    created: str = "2026-12-01T10:00:00+00:00",
    seconds: float = 20.0,
    **settings: Any,
) -> Record:
    """Return the record of one run, or of the pre-training before it with another `task_kind`."""
    metrics = {
        "test_accuracy": score, "test_n": n, "validation_accuracy": score, "validation_n": n,
        "train_sequences_per_second": 400.0, "seconds": seconds,
    }  # fmt: skip
    history = [
        {"epoch": epoch, "train_loss": 2.0 / epoch, "train_accuracy": score + epoch, "validation_accuracy": score - 1}
        for epoch in (1, 2, 3)
    ]
    return Record(
        kind="train",
        name=model,
        settings={
            "study": "arena", "size": "nano", "rules": "0123456789ab", "arena_task": task, "pretraining": pretraining,
            "task": task_kind, "model": model, "model_kind": "sequence", "model_fields": {"depth": 2}, "seed": seed,
            "data": {"name": f"{task}-nano", "fingerprint": f"of {task}", "n_test": n, "n_train": 4000,
                     "median_length": 64, "floors": FLOORS[task]},
            "recipe": {"name": "sequences_nano", "source": "ours", "epochs": 3, "batch_size": 32}, "params": 71_000,
        } | settings,
        metrics={} if error else metrics,
        history=[] if error else history,
        environment={"created": created, "device": "CPU, 1 thread", "workers": 2},
        error=error,
        task_metrics=(Metric("accuracy", "accuracy"),),
    )  # fmt: skip


def arena_records(scores: Mapping[str, Mapping[str, Sequence[float]]] = SCORES, **settings: Any) -> list[Record]:
    """Return a record for each of some scores."""
    return [
        arena_record(model, task, score, seed=seed, **settings)
        for model, tasks in scores.items()
        for task, seeds in tasks.items()
        for seed, score in enumerate(seeds)
    ]
