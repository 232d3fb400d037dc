"""Train, validation and test of examples that a file or a folder came with, as of images (`modernet.data.splits`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from modernet.data.sources.assemble import as_indices, classes_of
from modernet.data.sources.split_names import require_train
from modernet.data.splits import divide, held_out


class _Example(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def identity(self) -> str: ...


Example = TypeVar("Example", bound=_Example)


def three_parts(
    given: Mapping[str, Sequence[Example]], path: Path, things: str
) -> tuple[Sequence[Example], Sequence[Example], Sequence[Example], str]:
    """Return train, validation and test, and a phrase that says where they come from (`three_splits`).

    Args:
        given: the examples of each split that there is.
        path: the name of the data set in messages.
        things: what the examples are, in messages.

    Raises:
        InputError: there is no train, or a class has too few examples to be in every split.
    """
    require_train(path, given)

    def hold_out(everything: Sequence[Example], n: int) -> list[Sequence[Example]]:
        labels = [example.label for example in everything]
        classes = classes_of(labels)
        strata = as_indices(labels, classes, lambda position: everything[position].name)
        names = [f"the class {name!r}" for name in classes]
        identities = (example.identity for example in everything)
        parts = held_out(identities, strata, names, path, n, things)
        return [[everything[position] for position in part] for part in parts]

    return divide(given["train"], given.get("validation"), given.get("test"), hold_out)
