"""A tiny data set for every task of the arena, in a module that worker processes can import."""

from __future__ import annotations

import numpy as np

from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.inputs import SequenceInputs


def small_sequences(name: str) -> SequenceDataset:
    """Return sequences of 8 to 16 tokens of two classes, which the first token tells apart."""
    chance = np.random.default_rng(len(name))

    def split(count: int) -> SequenceSplit:
        tokens = [chance.integers(1, 5, size=chance.integers(8, 17)).astype(np.int16) for _ in range(count)]
        labels = np.array([int(sequence[0] > 2) for sequence in tokens], dtype=np.int64)
        return SequenceSplit((Ragged.of(tokens),), labels)

    encoding = Encoding("words", SequenceInputs(16, vocabulary=6), ("a", "b", "c", "d"))
    floors = {"the most frequent class": 55.0}
    return SequenceDataset(name, split(64), split(16), split(20), ("low", "high"), encoding, {"seed": 0}, floors)
