from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from modernet.data.points.dataset import PointDataset, PointSplit
from modernet.data.points.fingerprint import point_fingerprint
from modernet.data.points.inputs import PointInputs
from modernet.data.ragged import Ragged


def split(seed: int) -> PointSplit:
    values = np.random.default_rng(seed).normal(size=(12, 3)).astype(np.float32)
    return PointSplit(Ragged(values, np.array([0, 5, 12])), np.array([0, 1]), np.arange(12) % 2)


DATASET = PointDataset(
    "some", split(1), split(2), split(3), ("a", "b"), PointInputs(4), {"files": {"a": "x"}}, {"c": (0, 1)}
)
GENERATED = replace(DATASET, provenance={"generator": "solids 1", "seed": 0})


def test_the_same_data_elsewhere_or_shown_otherwise_has_the_same_digest() -> None:
    copy = replace(DATASET, name="other", train=split(1), provenance={"files": {"b": "y"}}, inputs=PointInputs(8))
    assert point_fingerprint(copy) == point_fingerprint(DATASET)
    assert len(point_fingerprint(DATASET)) == 12


@pytest.mark.parametrize(
    "change",
    [
        lambda data: replace(data, classes=("a", "c")),
        lambda data: replace(data, parts={"c": (0,)}),
        lambda data: replace(data, up=1),
        lambda data: replace(data, provenance={**data.provenance, "scaled": False}),
        lambda data: replace(data, test=split(4)),
        lambda data: replace(data, train=replace(data.train, labels=np.array([1, 0]))),
        lambda data: replace(data, train=replace(data.train, point_labels=np.arange(12) % 3)),
        lambda data: replace(
            data, train=replace(data.train, clouds=Ragged(data.train.clouds.values, np.array([0, 4, 12])))
        ),
    ],
)
def test_other_data_has_another_digest(change: Callable[[PointDataset], PointDataset]) -> None:
    assert point_fingerprint(change(DATASET)) != point_fingerprint(DATASET)


def test_what_is_generated_counts_by_its_generator() -> None:
    assert point_fingerprint(replace(GENERATED, train=split(9))) == point_fingerprint(GENERATED)
    other = replace(GENERATED, provenance={"generator": "solids 1", "seed": 1})
    assert point_fingerprint(other) != point_fingerprint(GENERATED)
