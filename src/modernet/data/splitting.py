"""Train, validation and test, distinct and always the same, from whatever splits a source came with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modernet.data.source import Labelled, Source
from modernet.errors import InputError

_HELD_OUT = 0.1
_SEED = 0  # fixed: two runs that disagree on the split cannot be compared


class ThreeSplits(NamedTuple):
    train: Labelled
    validation: Labelled
    test: Labelled
    words: str
    """Where they come from."""


def three_splits(source: Source) -> ThreeSplits:
    """Use the given splits, and hold out of train what is missing, stratified by class.

    | given | train | validation | test |
    |---|---|---|---|
    | train, validation, test | as given | as given | as given |
    | train, test | 90 % of train | 10 % of train | as given |
    | train, validation | 90 % of train | 10 % of train | the given validation |
    | one set | 80 % | 10 % | 10 % |

    The held-out part of a class has at least one picture.

    Raises:
        InputError: a class has too few pictures to be in every split.
    """
    given = source.train, source.validation, source.test
    match given:
        case Labelled() as train, Labelled() as validation, Labelled() as test:
            return ThreeSplits(train, validation, test, "train, validation and test as given")
        case Labelled() as everything, None, None:
            validation, test, train = _held_out(everything, source, parts=2)
            return ThreeSplits(train, validation, test, "80 % / 10 % / 10 % of the one given set, stratified by class")
        case Labelled() as everything, None, Labelled() as test:
            validation, train = _held_out(everything, source, parts=1)
            words = "test as given; validation is 10 % of the given train, stratified by class"
            return ThreeSplits(train, validation, test, words)
        case Labelled() as everything, Labelled() as test, None:
            validation, train = _held_out(everything, source, parts=1)
            words = "test is the given validation; validation is 10 % of the given train, stratified by class"
            return ThreeSplits(train, validation, test, words)
    raise AssertionError(given)


def _held_out(everything: Labelled, source: Source, parts: int) -> list[Labelled]:
    """`parts` parts of 10 % each, and the rest."""
    chosen: list[list[NDArray[np.int64]]] = [[] for _ in range(parts + 1)]
    for label, name in enumerate(source.classes):
        members = np.flatnonzero(everything.labels == label)
        if len(members) < parts + 1:
            raise InputError(
                f"the class {name!r} in {source.path} has too few pictures, {len(members)}; splitting it into "
                f"{'train, validation and test' if parts == 2 else 'train and validation'} needs at least {parts + 1}"
            )
        members = np.random.default_rng([_SEED, label]).permutation(members)
        each = max(1, round(_HELD_OUT * len(members)))
        for part, piece in enumerate(np.split(members, [each * (part + 1) for part in range(parts)])):
            chosen[part].append(piece)
    return [everything.take(np.sort(np.concatenate(pieces))) for pieces in chosen]
