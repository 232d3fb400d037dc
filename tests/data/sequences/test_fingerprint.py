from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.fingerprint import sequence_fingerprint
from modernet.data.sequences.inputs import SequenceInputs


def split(seed: int, tokens: np.ndarray | None = None) -> SequenceSplit:
    tokens = np.random.default_rng(seed).integers(1, 5, 12).astype(np.int16) if tokens is None else tokens
    return SequenceSplit((Ragged(tokens, np.array([0, 5, 12])),), np.array([0, 1]))


DATASET = SequenceDataset(
    "some", split(1), split(2), split(3), ("a", "b"), Encoding("bytes", SequenceInputs(7, 257)), {"files": {"a": "x"}}
)
GENERATED = replace(DATASET, provenance={"generator": "listops 1", "seed": 0})


def test_the_same_data_elsewhere_has_the_same_digest() -> None:
    copy = replace(DATASET, name="other", train=split(1), provenance={"files": {"b": "y"}})
    assert sequence_fingerprint(copy) == sequence_fingerprint(DATASET)
    assert len(sequence_fingerprint(DATASET)) == 12


@pytest.mark.parametrize(
    "change",
    [
        lambda data: replace(data, classes=("a", "c")),
        lambda data: replace(data, test=split(4)),
        lambda data: replace(data, train=replace(data.train, labels=np.array([1, 0]))),
        lambda data: replace(
            data, train=replace(data.train, towers=(Ragged(data.train.towers[0].values, np.array([0, 4, 12])),))
        ),
        lambda data: replace(data, encoding=replace(data.encoding, inputs=SequenceInputs(6, 257))),
    ],
)
def test_other_data_has_another_digest(change: Callable[[SequenceDataset], SequenceDataset]) -> None:
    assert sequence_fingerprint(change(DATASET)) != sequence_fingerprint(DATASET)


def test_what_is_generated_counts_by_its_generator_and_is_not_read() -> None:
    assert sequence_fingerprint(replace(GENERATED, train=split(9))) == sequence_fingerprint(GENERATED)
    other = replace(GENERATED, provenance={"generator": "listops 1", "seed": 1})
    assert sequence_fingerprint(other) != sequence_fingerprint(GENERATED)
