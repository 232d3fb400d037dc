"""Train, validation and test of examples that a file or a folder came with, as of images (`modernet.data.splits`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from modernet.data.sources.assemble import as_indices, classes_of
from modernet.data.sources.split_names import require_train
from modernet.data.splits import Fold, divide, fold_of, held_out
from modernet.errors import InputError


class _Example(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def identity(self) -> str: ...


Example = TypeVar("Example", bound=_Example)


def three_parts(
    given: Mapping[str, Sequence[Example]], path: Path, things: str, fold: Fold | None = None
) -> tuple[Sequence[Example], Sequence[Example], Sequence[Example], str]:
    """Return train, validation and test, and a phrase that says where they come from (`three_splits`).

    Args:
        given: the examples of each split that there is.
        path: the name of the data set in messages.
        things: what the examples are, in messages.
        fold: what is tested on, if a single set is given.

    Raises:
        InputError: there is no train, a fold and a test split, or no such fold; or a class has too few examples to be
            in every split.
    """
    require_train(path, given)
    if fold is not None:
        if len(given) > 1:
            raise InputError(
                f"{path} has a {' and a '.join(sorted(given))} split; leave out fold{fold.number}of{fold.of}"
            )
        rest, tested = fold_of(fold, *_strata(given["train"]), path, things)
        given = {name: _at(given["train"], part) for name, part in (("train", rest), ("test", tested))}

    def hold_out(everything: Sequence[Example], n: int) -> list[Sequence[Example]]:
        parts = held_out(*_strata(everything), path, n, things)
        return [_at(everything, part) for part in parts]

    train, validation, test, phrase = divide(given["train"], given.get("validation"), given.get("test"), hold_out)
    if fold is not None:
        phrase = f"test is fold {fold.number} of {fold.of}, of each class; validation is about 10 % of the others"
    return train, validation, test, phrase


def _strata(examples: Sequence[Example]) -> tuple[list[str], NDArray[np.int64], list[str]]:
    """Return the identity of each example, the number of its class, and what messages call the classes."""
    labels = [example.label for example in examples]
    classes = classes_of(labels)
    strata = as_indices(labels, classes, lambda position: examples[position].name)
    return [example.identity for example in examples], strata, [f"the class {name!r}" for name in classes]


def _at(examples: Sequence[Example], positions: NDArray[np.int64]) -> list[Example]:
    return [examples[position] for position in positions]
