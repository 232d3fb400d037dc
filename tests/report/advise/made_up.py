"""A made-up advice: twelve candidates in three rounds, one of which failed and one of which is too slow."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from modernet.records import Metric, Record
from modernet.report.advise.advice import Advice, Considered, Trial

TOP1 = Metric("top1", "top-1")
DATA = {
    "name": "my_photos", "classes": 10, "image_size": 64, "n_train": 1400, "n_validation": 300, "n_test": 300,
    "fingerprint": "0a1b2c3d",
}  # fmt: skip
_EPOCHS = (3, 9, 27)
_FINAL = (  # name, parameters in M, GMACs, ms, MB, top-1 of the rounds, what it starts from
    ("convnext_nano", 15.6, 2.46, 11.9, 118, (61.3, 78.0, 88.7), "convnext_nano.in12k_ft_in1k", "apache-2.0"),
    ("timm:resnet18", 11.7, 1.82, 7.4, 92, (58.3, 75.3, 87.3), "timm:resnet18.a1_in1k", "apache-2.0"),
    ("swin_test", 2.1, 0.31, 9.2, 70, (52.0, 74.7, 86.0), None, None),
    ("mobilenet_v2", 3.5, 0.30, 5.1, 61, (55.0, 73.3, 82.3), "mobilenet_v2.tv_in1k", "bsd-3-clause"),
    ("efficientnet_b0", 5.3, 0.40, 8.8, 80, (49.0, 69.0), "efficientnet_b0.ra_in1k", ""),
    ("convnext_femto", 5.2, 0.79, 6.9, 74, (47.7, 66.3), "convnext_femto.d1_in1k", "apache-2.0"),
    ("resnet34", 21.8, 3.68, 14.1, 150, (41.0,), "resnet34.tv_in1k", "bsd-3-clause"),
    ("vit_tiny", 5.7, 1.26, 10.2, 77, (36.7,), None, None),
    ("densenet121", 8.0, 2.87, 17.5, 140, (33.0,), "densenet121.ra_in1k", "apache-2.0"),
    ("alexnet_one_tower", 61.1, 0.71, 4.2, 260, (24.3,), "alexnet_one_tower.tv_in1k", "bsd-3-clause"),
)
_CHANCES = {"convnext_nano": 0.72, "timm:resnet18": 0.24, "swin_test": 0.04}
_LEFT = {2: "more than two standard errors behind the best of its round", 1: "in the lower half of its round"}


def advice(**changes: Any) -> Advice:
    """Return the advice; `changes` replace its fields."""
    chance = random.Random(3)
    considered = [_considered(chance, *row) for row in _FINAL]
    failed = Trial(0, 0, 3, None, 0, 4.0, error="the loss became NaN in epoch 2; try a smaller learning rate")
    considered += [
        Considered(
            "timm:regnety_002", None, None, 3_163_000, 200_000_000, 8.1, 66.0, 123.0, {}, (failed,), 1,
            "its training failed", None,
        ),
        Considered(
            "swin_tiny", "swin_tiny.ms_in1k", "mit", 28_288_000, 4_360_000_000, 41.0, 210.0, 24.0, {}, (), 0,
            "41 ms for one image, and at most 20 ms were asked for", None,
        ),
    ]  # fmt: skip
    values: dict[str, Any] = {
        "pick": "convnext_nano",
        "sure": 0.72,
        "level": ("timm:resnet18", "swin_test"),
        "task": "classification",
        "data": DATA,
        "recipe": "small_data",
        "seed": 0,
        "limits": {"max_latency_ms": 20.0},
        "budget_seconds": 1800.0,
        "spent_seconds": 1692.0,
        "considered": tuple(considered),
        "not_tried": {
            "convnext_base": "too slow by its MACs for 30 minutes",
            "hiera_tiny.mae_in1k_ft_in1k": "the licence of its weights, cc-by-nc-4.0, is not permissive",
        },
    }
    return Advice(**values | changes)


def without_finalist() -> Advice:
    """Return an advice that found nothing: every training failed."""
    error = Trial(0, 0, 3, None, 0, 1.0, error="out of memory")
    each = Considered("resnet34", None, None, 21_800_000, 3_680_000_000, 14.1, 150.0, 71.0, {}, (error,), 1, "", None)
    return advice(pick=None, sure=0.0, level=(), considered=(each,), not_tried={})


def record(found: Advice) -> Record:
    return found.to_record(TOP1, "CPU, 2 threads")


def runs(found: Advice) -> list[Record]:
    """Return records of the trainings that finished."""
    return [
        Record(
            "train",
            each.name,
            {
                "study": "advise", "task": "classification", "model": each.name,
                "data": {**found.data, "fingerprint": f"normalised as for {each.weights}"},
                "recipe": {"name": "small_data", "epochs": trial.epochs}, "seed": trial.seed,
            },
            {"test_top1": 50.0, "test_n": 300, "validation_top1": trial.score, "validation_n": trial.n},
        )
        for each in found.considered
        for trial in each.trials
        if trial.score is not None
    ]  # fmt: skip


def _considered(
    chance: random.Random, name: str, params: float, gmacs: float, ms: float, mb: float, scores: Sequence[float],
    weights: str | None, licence: str | None,
) -> Considered:  # fmt: skip
    trials = [
        trial
        for index, score in enumerate(scores)
        for trial in _trials(chance, index, score, seeds=2 if index == 2 else 1)
    ]
    rounds = len(scores)
    probes = {"linear": 60 + scores[0] / 3, "knn": 50 + scores[0] / 3} if weights else {}
    return Considered(
        name, weights, licence, int(params * 1e6), int(gmacs * 1e9), ms, mb, 1000 / ms, probes, tuple(trials),
        None if rounds == 3 else rounds, "" if rounds == 3 else _LEFT[rounds], scores[-1] - 1 if rounds == 3 else None,
        _CHANCES.get(name, 0.0),
    )  # fmt: skip


def _trials(chance: random.Random, round_index: int, score: float, seeds: int) -> list[Trial]:
    found = []
    for seed in range(seeds):
        right = round(3 * score) + (chance.randint(-4, 4) if seeds > 1 else 0)
        answers = "1" * right + "0" * (300 - right)
        epochs = _EPOCHS[round_index]
        found.append(Trial(round_index, seed, epochs, 100 * right / 300, 300, 2.1 * epochs, answers))
    return found
