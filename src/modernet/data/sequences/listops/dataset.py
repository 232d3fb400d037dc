"""ListOps as sequences of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.inputs import SequenceInputs
from modernet.data.sequences.listops.floors import listops_floors
from modernet.data.sequences.listops.generation import VERSION, Labelled, generated_expressions
from modernet.data.sequences.listops.grammar import SYMBOLS
from modernet.data.sequences.listops.published import read_expressions
from modernet.data.sequences.sizes import SequenceSize
from modernet.errors import InputError
from modernet.files.fingerprint import file_sha256

_FILES = ("basic_train.tsv", "basic_val.tsv", "basic_test.tsv")


class _Version(NamedTuple):
    shortest: int
    longest: int
    splits: tuple[int, int, int]
    max_length: int
    max_length_eos: int
    """With a token at the end."""


_VERSIONS: Mapping[SequenceSize, _Version] = {
    "published": _Version(501, 1999, (96_000, 2_000, 2_000), 2000, 2048),
    "nano": _Version(21, 99, (8_000, 1_000, 2_000), 100, 100),
}


def listops_dataset(
    size: SequenceSize = "published",
    *,
    seed: int = 0,
    folder: Path | None = None,
    eos: bool = False,
    expressions: tuple[int, int, int] | None = None,
) -> SequenceDataset:
    """Return ListOps: what is the value of nested lists of digits under minimum, maximum, median and sum modulo 10?

    Expressions are generated as those of the Long Range Arena were, or read. There are 17 tokens: padding, the digits,
    four operators, the end of a list, and one for anything else.

    Args:
        size: "published" has 96,000 / 2,000 / 2,000 expressions of 501 to 1,999 tokens; "nano" 8,000 / 1,000 / 2,000 of
            21 to 99, of the same grammar.
        seed: of the generator; its expressions are the same for any number of processes.
        folder: with the published basic_train.tsv, basic_val.tsv and basic_test.tsv.
        eos: end each expression with an 18th token, in up to 2,048 steps, as S4's code does.
        expressions: how many are generated for training, validation and test, instead of those of the size.

    Raises:
        InputError: a file of the folder is missing or has a broken line, `folder` contradicts the other arguments, or
            the cache folder cannot be written to.
    """
    version = _VERSIONS[size]
    if expressions is not None:
        version = version._replace(splits=expressions)
    cached = "listops" if size == "published" else f"listops-{size}"
    name = cached.replace("listops", "listops_s4") if eos else cached
    if folder is not None:
        if size != "published" or expressions is not None:
            raise InputError(f"the expressions in {folder} are as they are; give no folder to generate {name}")
        train, validation, test = (read_expressions(folder / file, version.max_length) for file in _FILES)
        digests = {file: file_sha256(folder / file) for file in _FILES}
        return _dataset(name, version, (train, validation, test), {"source": "files", "sha256": digests}, eos=eos)
    everything = generated_expressions(cached, version.shortest, version.longest, seed, sum(version.splits))
    provenance = {"generator": "listops", "version": VERSION, "seed": seed, "expressions": list(version.splits)}
    return _dataset(name, version, _split(everything, version.splits), provenance, eos=eos)


def _split(everything: Labelled, sizes: tuple[int, int, int]) -> tuple[SequenceSplit, SequenceSplit, SequenceSplit]:
    ends = np.cumsum([0, *sizes]).tolist()
    values, offsets = everything.expressions.values, everything.expressions.offsets
    train, validation, test = (
        SequenceSplit(
            (Ragged(values[offsets[begin] : offsets[end]], offsets[begin : end + 1] - offsets[begin]),),
            everything.labels[begin:end],
        )
        for begin, end in pairwise(ends)
    )
    return train, validation, test


def _dataset(
    name: str,
    version: _Version,
    splits: tuple[SequenceSplit, SequenceSplit, SequenceSplit],
    provenance: Mapping[str, Any],
    *,
    eos: bool,
) -> SequenceDataset:
    longest = version.max_length_eos if eos else version.max_length
    vocabulary = 1 + len(SYMBOLS) + 1 + eos
    encoding = Encoding("words", SequenceInputs(longest, vocabulary=vocabulary), SYMBOLS, eos)
    floors = listops_floors(splits[0], splits[2])
    train, validation, test = (_ended(split, vocabulary - 1) for split in splits) if eos else splits
    return SequenceDataset(name, train, validation, test, tuple("0123456789"), encoding, provenance, floors)


def _ended(split: SequenceSplit, token: int) -> SequenceSplit:
    """Return expressions with one more token at the end of each."""
    (tower,) = split.towers
    values = np.insert(np.asarray(tower.values), tower.offsets[1:], token)
    return replace(split, towers=(Ragged(values, tower.offsets + np.arange(len(tower.offsets))),))
