"""Names of corrupted images are valid and distinct on every system."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modernet.data.corrupting.file_names import file_names
from modernet.data.corrupting.write import write_corrupted
from modernet.data.images.collection import DecodedImages
from modernet.data.sources.examples import labelled
from modernet.errors import InputError


class Named(DecodedImages):
    """Images with given identities."""

    def __init__(self, *identities: str) -> None:
        super().__init__(torch.zeros(len(identities), 3, 1, 1, dtype=torch.uint8), "")
        self._identities = identities

    def identity(self, index: int) -> str:
        return self._identities[index]


def names_of(labels: dict[str, str]) -> list[str]:
    """Return the names of images, given by their identities and classes."""
    classes = sorted(set(labels.values()))
    numbers = np.array([classes.index(label) for label in labels.values()])
    return file_names(labelled(Named(*labels), numbers), classes)


def test_names_are_valid_and_distinct() -> None:
    slashed, *same, hidden = names_of(
        {"a.b.png": "cats/dogs", "x/a.png": "two words.", "a.jpg": "two words.", "c.png": ".hidden"}
    )
    assert (hidden, slashed) == ("%2Ehidden/c.JPEG", "cats%2Fdogs/a.b.JPEG")
    assert [name.rpartition("-")[0] for name in same] == ["two words./a"] * 2
    assert same[0] != same[1]


def test_names_that_differ_in_case_alone_are_distinct_where_case_does_not_count() -> None:
    lower, upper, other = names_of({"a.png": "cat", "A.png": "cat", "b.png": "cat"})
    assert (lower[:6], upper[:6], other) == ("cat/a-", "cat/A-", "cat/b.JPEG")
    assert lower.casefold() != upper.casefold()


def test_long_names_are_cut_and_remain_distinct(tmp_path: Path) -> None:
    long = "\N{CJK UNIFIED IDEOGRAPH-732B}" * 80  # three bytes each
    first, second = names_of({f"{long}1.png": long, f"{long}2.png": long})
    assert first != second
    assert all(len(part.encode()) < 240 for part in (*first.split("/"), *second.split("/")))
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (8, 8)).save(tmp_path / "pets" / "cat" / f"{'a' * 250}{number}.png")
    write_corrupted(str(tmp_path / "pets"), tmp_path / "out", ["contrast"], [1])
    assert len(list((tmp_path / "out").rglob("*.JPEG"))) == 2


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("cats%2Fdogs", "'cats%2Fdogs' and 'cats/dogs' would share the folder cats%2Fdogs; rename one"),
        ("Cats/dogs", "'Cats/dogs' and 'cats/dogs' would share the folder cats%2Fdogs on systems that ignore case;"),
    ],
)
def test_classes_that_would_share_a_folder_are_refused(second: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        names_of({"a.png": "cats/dogs", "b.png": second})
