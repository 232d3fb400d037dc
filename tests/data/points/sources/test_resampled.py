from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modernet.data.points.opening import open_points
from modernet.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shapes: dict[str, list[str]] = {"train": [], "test": []}
    for label in ("desk", "night_stand"):
        (tmp_path / label).mkdir()
        for number in range(1, 13):
            shape = f"{label}_{number:04}"
            shapes["train" if number <= 10 else "test"].append(shape)
            rows = np.random.default_rng(number).normal(size=(2500, 6))
            rows[:, 3:] /= np.linalg.norm(rows[:, 3:], axis=1, keepdims=True)
            np.savetxt(tmp_path / label / f"{shape}.txt", rows, "%.6f", ",")
    for split, names in shapes.items():
        (tmp_path / f"modelnet10_{split}.txt").write_text("\n".join(names) + "\n")
    (tmp_path / "modelnet10_shape_names.txt").write_text("desk\nnight_stand\n")
    return tmp_path


def test_the_first_lines_are_kept_with_their_normals(folder: Path) -> None:
    opened = open_points(str(folder), points=64)
    assert opened.classes == ("desk", "night_stand")
    assert (len(opened.test), len(opened.train) + len(opened.validation)) == (4, 20)
    assert opened.up == 1
    assert opened.inputs.normals
    assert opened.inputs.channels == 6
    first = np.random.default_rng(11).normal(size=(2500, 6))[:2048, :3]
    assert opened.test.clouds[0][:, :3] == pytest.approx(first, abs=1e-6)
    assert not open_points(f"{folder}:xyz").inputs.normals


def test_a_shape_that_is_missing_is_one_line(folder: Path) -> None:
    (folder / "desk" / "desk_0003.txt").unlink()
    with pytest.raises(InputError, match=r"desk_0003.txt cannot be read \(No such file"):
        open_points(str(folder))
    assert len(open_points(str(folder), skip_unreadable=True).unreadable) == 1
    (folder / "modelnet10_test.txt").write_text("sofa_0001\n")
    with pytest.raises(InputError, match=r"lists sofa_0001, whose class is not in modelnet10_shape_names.txt"):
        open_points(str(folder))
