"""Train, validation and test, distinct, from whatever splits a source came with; an image stays in its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from modernet.data.images.marks import Marks
from modernet.data.sources.examples import Examples, Source
from modernet.errors import InputError

SplitName = Literal["train", "validation", "test"]
Part = TypeVar("Part")

_HELD_OUT = 0.1
_BY_CHANCE = 0.05
"""Share of two sets of images that may have the name and size of one in the other, though the sets are not the same."""


class Fold(NamedTuple):
    """One of several parts of equal size that are tested on in turn."""

    number: int
    """From 1."""
    of: int


class ThreeSplits(NamedTuple):
    train: Examples
    validation: Examples
    test: Examples
    words: str
    """A phrase that says where they come from."""


def three_splits(source: Source) -> ThreeSplits:
    """Use the given splits, and hold out about a tenth of train, of each class, for what is missing.

    | given | train | validation | test |
    |---|---|---|---|
    | train, validation, test | as given | as given | as given |
    | train, test | about 90 % of train | the rest | as given |
    | train, validation | about 90 % of train | the rest | the given validation |
    | one set | about 80 % | about 10 % | about 10 % |

    A hash of an image's identity (`Images.identity`: its path, its file and row, its number) decides where it
    belongs, so images that are added or removed move no other: what was learned from is never tested on later. The
    shares are therefore met on average, not exactly. One exception: where a class is so small that a split would have
    none of it, the images whose hashes are next fill the gap, and may go back when the class has grown. Targets that
    are not classes (`Targets.strata` is None) are split as one class.

    Raises:
        InputError: a class has too few images to be in every split.
    """
    assert source.train is not None, "read_source checks it"
    of_each = "" if source.train.targets.strata() is None else "of each class "
    return ThreeSplits(
        *divide(source.train, source.validation, source.test, lambda part, n: _held_out(part, source, n), of_each)
    )


def divide(
    train: Part,
    validation: Part | None,
    test: Part | None,
    hold_out: Callable[[Part, int], list[Part]],
    of_each: str = "of each class ",
) -> tuple[Part, Part, Part, str]:
    """Return train, validation and test as `three_splits` does, and a phrase that says where they come from.

    Args:
        hold_out: called with all that there is and a number of splits; returns so many of about 10 %, and the rest.
        of_each: what a share is of, in the phrase.
    """
    if validation is not None and test is not None:
        return train, validation, test, "train, validation and test as given"
    if validation is None and test is None:
        validation, test, train = hold_out(train, 2)
        return train, validation, test, f"about 80 / 10 / 10 % {of_each}of the one given set"
    words = "test as given" if validation is None else "test is the given validation"
    given = test if validation is None else validation
    assert given is not None
    validation, train = hold_out(train, 1)
    return train, validation, given, f"{words}; validation is about 10 % {of_each}of the given train"


def one_split(source: Source, split: SplitName, marks: Marks | None) -> tuple[Examples, str]:
    """Return the images that a trained network is evaluated on, and a phrase where that is not the split as given.

    | given | train | validation | test |
    |---|---|---|---|
    | train and others | as `three_splits` | as `three_splits` | as `three_splits` |
    | validation or test, without train | refused | the given one | the given one; else the validation |
    | one set that was learned from | as `three_splits` | as `three_splits` | as `three_splits` |
    | one set of other images | all | all | all |

    A set was learned from if more than a twentieth of its images, or of those that were learned from, have the mark of
    one in the other. Fewer may have so by chance: rows of parquet and members of tar shards are numbered alike
    everywhere, and images without compression are of equal size.

    Args:
        marks: of the images that the network learned from. Where they are unknown, every set may be such a set.

    Raises:
        InputError: there is no such split, or a class has too few images to be in every split.
    """
    given = source.splits()
    if list(given) == ["train"]:
        everything = given["train"]
        n = len(everything)
        learned = n if marks is None else marks.count(everything.images, everything.indices)
        if marks is not None and learned <= _BY_CHANCE * min(n, len(marks)):
            if not len(marks):
                return everything, f"all {n} images"
            few = f"{learned} have" if learned > 1 else "one has" if learned else "none has"
            return everything, f"all {n} images; {few} name and size of a training image"
        part: Examples = getattr(three_splits(source), split)
        why = f"{learned} have name and size of a training image"
        if marks is None:
            why = "the run does not say which were trained on"
        return part, f"its {split} split, {len(part)} of {n} images, since {why}"
    if split in given and (len(given) == 3 or split == "test" or "train" not in given):
        return given[split], ""
    if split == "test" and "validation" in given:
        return given["validation"], "the given validation split"
    if "train" not in given:
        only = " and ".join(given)
        raise InputError(f"{source.path} has no {split} split, only {only}; give --split {next(iter(given))}")
    derived: Examples = getattr(three_splits(source), split)
    return derived, ""


def _held_out(everything: Examples, source: Source, n_held_out: int) -> list[Examples]:
    """Hold out as many splits of about 10 % each, and return them and the rest."""
    identities = [everything.images.identity(index) for index in everything.indices.tolist()]
    strata = everything.targets.strata()
    if strata is None:
        strata, names = np.zeros(len(everything), dtype=np.int64), ["the training split"]
    else:
        names = [f"the class {name!r}" for name in source.classes]
    return [everything.take(positions) for positions in held_out(identities, strata, names, source.path, n_held_out)]


def held_out(
    identities: Iterable[str],
    strata: NDArray[np.int64],
    names: Sequence[str],
    where: Path | str,
    n_held_out: int,
    things: str = "images",
) -> list[NDArray[np.int64]]:
    """Hold out splits of about 10 % of each stratum, by a hash of each example's identity, as `three_splits` describes.

    Args:
        strata: int64 (n,), what each example is balanced by.
        names: of the strata, in messages.
        where: the name of the data set in messages.
        things: what the examples are, in messages.

    Returns:
        The positions of the examples of `n_held_out` splits, and of the rest, each in order.

    Raises:
        InputError: a stratum has too few examples to be in every split.
    """
    places = np.array([_place(identity) for identity in identities])
    chosen: list[list[NDArray[np.int64]]] = [[] for _ in range(n_held_out + 1)]
    for stratum, name in enumerate(names):
        members = np.flatnonzero(strata == stratum)
        n = len(members)
        if n < n_held_out + 1:
            splits = "train, validation and test" if n_held_out == 2 else "train and validation"
            raise InputError(
                f"{name} in {where} has too few {things}, {n}; splitting it into {splits} needs at least "
                f"{n_held_out + 1}"
            )
        members = members[np.argsort(places[members])]
        ends: list[int] = []
        for number in range(n_held_out):
            natural = int(np.searchsorted(places[members], _HELD_OUT * (number + 1)))
            fewest = ends[-1] + 1 if ends else 1
            ends.append(min(max(natural, fewest), n - n_held_out + number))  # clipped only where a split would be empty
        for pieces, piece in zip(chosen, np.split(members, ends), strict=True):
            pieces.append(piece)
    return [np.sort(np.concatenate(pieces)) for pieces in chosen]


def fold_of(
    fold: Fold,
    identities: Iterable[str],
    strata: NDArray[np.int64],
    names: Sequence[str],
    where: Path | str,
    things: str = "images",
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of the examples outside of a fold and of those in it, each in order.

    Folds have equal shares of each stratum, to one example. A hash of each example's identity decides; an example that
    is added may move others.

    Args:
        strata, names, where, things: as of `held_out`.

    Raises:
        InputError: there is no such fold, or a stratum has too few examples to be in every one.
    """
    if not (fold.of >= 2 and 1 <= fold.number <= fold.of):
        raise InputError(f"fold {fold.number} of {fold.of} does not exist; folds are 1 to their number, at least 2")
    places = np.array([_place(identity) for identity in identities])
    inside = np.zeros(len(places), dtype=np.bool_)
    for stratum, name in enumerate(names):
        members = np.flatnonzero(strata == stratum)
        if len(members) < fold.of:
            raise InputError(f"{name} in {where} has too few {things}, {len(members)}, for {fold.of} folds; give fewer")
        inside[members[np.argsort(places[members])][fold.number - 1 :: fold.of]] = True
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def _place(identity: str) -> float:
    """Return the place of an image in [0, 1): as good as random, but a function of its identity alone."""
    content = identity.encode(errors="surrogateescape")  # names of files need not be UTF-8
    return int.from_bytes(sha256(content).digest()[:6]) / 2**48
