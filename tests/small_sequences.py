"""A small task on sequences: does the token 2 occur?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.inputs import SequenceInputs
from modernet.weights import NetworkSpec

SPEC = NetworkSpec("sequence", "transformer", {"depth": 1, "width": 16, "heads": 2, "mlp_width": 16})
LENGTHS = (3, 12)


def tokens(n: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return sequences of 1, 3 and 4, in every second of which there is a 2, and whether there is."""
    rng = np.random.default_rng(seed)
    sequences, labels = [], np.arange(n) % 2
    for label in labels:
        sequence = rng.choice([1, 3, 4], rng.integers(*LENGTHS)).astype(np.int16)
        if label:
            sequence[rng.integers(len(sequence))] = 2
        sequences.append(sequence)
    return sequences, labels.astype(np.int64)


def split(n: int, seed: int) -> SequenceSplit:
    sequences, labels = tokens(n, seed)
    return SequenceSplit((Ragged.of(sequences),), labels)


def dataset() -> SequenceDataset:
    return SequenceDataset(
        name="twos",
        train=split(96, 1),
        validation=split(30, 2),
        test=split(38, 3),
        classes=("absent", "there"),
        encoding=Encoding("words", SequenceInputs(LENGTHS[1], vocabulary=6), ("a", "b", "c", "d")),
        provenance={"generator": "small_sequences"},
        floors={"the most frequent class": 50.0},
    )


def numbers() -> SequenceDataset:
    """Return the same with a number a step."""
    known = dataset()
    encoding = Encoding("sound", SequenceInputs(LENGTHS[1]), rate=8000)
    parts = {
        name: replace(part, towers=tuple(Ragged(t.values[:, None].astype(np.float32), t.offsets) for t in part.towers))
        for name, part in (("train", known.train), ("validation", known.validation), ("test", known.test))
    }
    return replace(known, encoding=encoding, **parts)


def write_table(path: Path, n: int = 200) -> Path:
    """Write texts with a class each: those about the sea have an s."""
    rng = np.random.default_rng(0)
    rows = ["text\tlabel"]
    for number in range(n):
        letters = "".join(rng.choice(list("abcd"), rng.integers(4, 12)))
        rows.append(f"{letters}{'s' if number % 2 else ''}{number}\t{'sea' if number % 2 else 'land'}")
    path.write_text("\n".join(rows) + "\n")
    return path
