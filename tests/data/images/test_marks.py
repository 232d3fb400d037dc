from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from modernet.data.images.collection import DecodedImages
from modernet.data.images.marks import MARKS_NAME, NO_MARKS, Marks, read_marks
from modernet.errors import InputError

IMAGES = DecodedImages(torch.arange(400).reshape(100, 2, 2).remainder(251).to(torch.uint8), "file")
OTHERS = DecodedImages(IMAGES.pixels + 1, "file")
"""Of the same names and with other content."""


def numbers(*ends: int) -> np.ndarray:
    return np.arange(*ends, dtype=np.int64)


def test_images_are_recognised_by_name_and_version() -> None:
    of_first = Marks.of(IMAGES, numbers(60))

    assert of_first.count(IMAGES, numbers(100)) == 60
    assert of_first.count(IMAGES, numbers(60, 100)) == 0
    assert of_first.count(IMAGES, np.array([70, 3, 80, 5])) == 2
    assert of_first.count(OTHERS, numbers(60)) == 0


def test_marks_of_two_trainings_are_joined() -> None:
    both = Marks.of(IMAGES, numbers(60)) | Marks.of(OTHERS, numbers(40, 80)) | Marks.of(IMAGES, numbers(50, 70))

    assert both.count(IMAGES, numbers(100)) == 70
    assert both.count(OTHERS, numbers(100)) == 40


def test_marks_are_read_as_they_were_written(tmp_path: Path) -> None:
    for written in (Marks.of(IMAGES, numbers(60)), NO_MARKS):
        written.write(tmp_path)
        found = read_marks(tmp_path)
        assert found is not None
        assert np.array_equal(found.numbers, written.numbers)
    assert NO_MARKS.count(IMAGES, numbers(100)) == 0
    assert read_marks(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY cut short", b"PK\x03\x04"])
def test_damaged_marks_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MARKS_NAME).write_bytes(content)
    with pytest.raises(InputError, match=r"trained_on\.npy cannot be read .*; remove it"):
        read_marks(tmp_path)
