from __future__ import annotations

from pathlib import Path

import pytest

from modernet.errors import InputError
from modernet.evaluation.drawings import drawing_files


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot write to .*taken/out: .*; give another --out"):
        drawing_files(tmp_path / "taken" / "out", [Path("photo.jpg")], [".png"])


def test_images_of_one_name_would_be_drawn_over_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"would both be drawn as photo\.png"):
        drawing_files(tmp_path / "out", [Path("a/photo.jpg"), Path("b/photo.jpg")], [".png"])
