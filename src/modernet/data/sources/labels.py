"""Labels as they were found, integers or names -> classes and indices into them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modernet.errors import InputError
from modernet.progress import say


def classes_of(labels: Sequence[int | str]) -> tuple[str, ...]:
    """Names of classes where nothing else tells them: the labels themselves in alphabetical order, or, of numbers, 0 to
    the largest.
    """
    numbers = [label for label in labels if isinstance(label, int)]
    if numbers:
        return tuple(str(label) for label in range(max(numbers) + 1))
    return tuple(sorted({str(label) for label in labels}))


def drop_hidden(labels: dict[str, list[int | str]], where: Path | str) -> None:
    """Remove a test split whose labels are all -1."""
    if labels.get("test") and all(label == -1 for label in labels["test"]):
        say(f"the labels of {where}'s test split are hidden; it is not used")
        del labels["test"]


def as_indices(labels: Sequence[int | str], classes: tuple[str, ...], name: Callable[[int], str]) -> NDArray[np.int64]:
    """Labels as indices into `classes`.

    Args:
        name: what a message calls the image at a position.

    Raises:
        InputError: one is none of the classes.
    """
    index = {name: number for number, name in enumerate(classes)}
    indices = [index.get(label, -1) if isinstance(label, str) else label for label in labels]
    for position, number in enumerate(indices):
        if not 0 <= number < len(classes):
            raise InputError(
                f"{name(position)} has the label {labels[position]!r}; there are {len(classes)} classes, "
                f"0 ({classes[0]}) to {len(classes) - 1} ({classes[-1]})"
            )
    return np.array(indices, dtype=np.int64)
