"""Probes as metrics and details of a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modernet.evaluation.accuracy import with_interval
from modernet.evaluation.probing.probe import Probes
from modernet.records import Metric

LINEAR = (Metric("linear_top1", "linear top-1"), Metric("linear_top5", "linear top-5"))
KNN = (Metric("knn_top1", "k-NN top-1"), Metric("knn_top5", "k-NN top-5"))
_FIVE = 5  # classes; with so few, every answer is among the best five


def metrics_of(probes: Probes, num_classes: int) -> dict[str, float]:
    """Return the accuracies of probes on the test split in per cent, with their 95 % intervals, and `n`.

    The names are those of `LINEAR` and `KNN`, also with `_low` and `_high`; and `linear_loss`, the cross-entropy of the
    linear probe in nats. Top-5 is left out for five classes or fewer, where it is always 100.
    """
    metrics: dict[str, float] = {}
    for (top1, top5), each in ((LINEAR, probes.linear), (KNN, probes.knn)):
        accuracy = each.judged.accuracy()
        metrics |= with_interval(top1.name, accuracy.top1, accuracy.n)
        if num_classes > _FIVE:
            metrics |= with_interval(top5.name, accuracy.top5, accuracy.n)
    return metrics | {"linear_loss": probes.linear.judged.accuracy().loss, "n": len(probes.linear.judged)}


def per_class_of(probes: Probes, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return `linear_top1`, `knn_top1` in per cent and `n` of each class that the test split has."""
    of_linear, of_knn = (each.judged.per_class(classes) for each in (probes.linear, probes.knn))
    return {
        name: {"linear_top1": row["top1"], "knn_top1": of_knn[name]["top1"], "n": row["n"]}
        for name, row in of_linear.items()
    }


def details_of(probes: Probes, classes: Sequence[str]) -> Mapping[str, Any]:
    """Return the details of a record: `per_class`, `confusion` of the linear probe, and `probes`, how each was chosen.

    `probes` has the `chosen` value of `linear` and `knn` and its `candidates`, pairs of a value and the top-1 on
    validation in per cent.
    """
    confusion = probes.linear.judged.confusion(classes)
    return {
        **({"confusion": confusion} if confusion else {}),
        "per_class": per_class_of(probes, classes),
        "class_metric": {"name": LINEAR[0].name, "title": LINEAR[0].title},
        "probes": {
            name: {"chosen": each.chosen, "candidates": list(map(list, each.candidates.items()))}
            for name, each in (("linear", probes.linear), ("knn", probes.knn))
        },
    }
