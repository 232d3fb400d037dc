from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from modernet.data.points.fingerprint import point_fingerprint
from modernet.data.points.opening import open_points
from modernet.data.points.ply import write_ply
from modernet.data.points.sources import files as reading
from modernet.data.points.sources import folders
from modernet.errors import InputError


def cloud(seed: int, n: int = 30, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, channels)).astype(np.float32)


def write(folder: Path, n: int, seed: int = 0, suffix: str = ".xyz") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        path = folder / f"{number:04}{suffix}"
        if suffix == ".npy":
            np.save(path, cloud(seed + number))
        else:
            np.savetxt(path, cloud(seed + number))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of 25 clouds each, of two kinds of files."""
    write(tmp_path / "shapes" / "cup", 25)
    write(tmp_path / "shapes" / "bowl", 25, 100, ".npy")
    return tmp_path / "shapes"


def test_a_folder_for_each_class(folder: Path) -> None:
    opened = open_points(str(folder), points=16)
    assert opened.name == "shapes"
    assert opened.classes == ("bowl", "cup")
    assert len(opened.train) + len(opened.validation) + len(opened.test) == 50
    assert (opened.inputs.scaled, opened.inputs.points, opened.up) == (True, 16, 2)
    name = Path(opened.test.names[-1])
    assert name.parts[-2] == "cup"
    assert sorted(opened.test.clouds[len(opened.test) - 1][:, 0]) == pytest.approx(
        sorted(cloud(int(name.stem))[:, 0]), abs=1e-6
    )


def test_given_splits_are_kept(tmp_path: Path) -> None:
    for split, n in (("train", 12), ("test", 3)):
        write(tmp_path / "above" / split / "cup", n)
        write(tmp_path / "above" / split / "bowl", n, 100)
        write(tmp_path / "below" / "cup" / split, n)  # as ModelNet has it
        write(tmp_path / "below" / "bowl" / split, n, 100)
    for name in ("above", "below"):
        opened = open_points(str(tmp_path / name))
        assert opened.classes == ("bowl", "cup")
        assert len(opened.test) == 6
        assert len(opened.train) + len(opened.validation) == 24
        assert all("test" in name for name in opened.test.names)
        assert "test as given" in opened.provenance["splits"]
        with pytest.raises(InputError, match="has a test and a train split; leave out fold1of5"):
            open_points(f"{tmp_path / name}:fold1of5")


def test_files_are_read_once_and_again_when_they_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_points(str(folder))
    (folder / "cup" / "0003.xyz").write_text("1 2 3\n")
    changed = open_points(str(folder))
    monkeypatch.setattr(reading, "read_text", None)  # nothing is read now
    again = open_points(str(folder))
    for one, other, same in ((first, changed, False), (changed, again, True)):
        values = [
            np.concatenate([split.clouds.values for split in (d.train, d.validation, d.test)]) for d in (one, other)
        ]
        assert (values[0].shape == values[1].shape and np.array_equal(*values)) is same


def test_files_that_are_read_in_several_pieces_are_the_same(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "cup" / "0003.xyz").write_text("")
    at_once = open_points(str(folder), skip_unreadable=True)
    shutil.rmtree(cache / "points")
    monkeypatch.setattr(folders, "_AT_ONCE", 7)
    pieces = open_points(str(folder), skip_unreadable=True)
    assert pieces.unreadable == at_once.unreadable == (str(folder / "cup" / "0003.xyz"),)
    assert point_fingerprint(pieces) == point_fingerprint(at_once)


def test_what_cannot_be_read_is_an_error_or_is_skipped(folder: Path) -> None:
    broken = {"0003.xyz": "", "0004.xyz": "nan 1 2\n", "0005.xyz": "1 2 3 4 5 6\n"}
    for name, content in broken.items():
        (folder / "cup" / name).write_text(content)
    with pytest.raises(InputError, match=r"cup/000[345].xyz has .*; repair it, remove it, or skip such clouds with"):
        open_points(str(folder))
    opened = open_points(str(folder), skip_unreadable=True)
    assert {Path(name).name for name in opened.unreadable} == set(broken)
    assert len(opened.train) + len(opened.validation) + len(opened.test) == 47
    with pytest.raises(InputError, match=r"000[34].xyz has "):  # the third has coordinates
        open_points(f"{folder}:xyz")


def test_a_class_whose_clouds_are_all_skipped_is_an_error(folder: Path) -> None:
    for file in (folder / "cup").iterdir():
        file.write_text("nan 1 2\n")
    with pytest.raises(InputError, match=r"there is no train cloud of the class 'cup' to read in .*; add some, or"):
        open_points(str(folder), skip_unreadable=True)


def test_other_numbers_of_a_point_say_what_to_do(folder: Path) -> None:
    (folder / "cup" / "0005.xyz").write_text("1 2 3 4 5 6\n")
    with pytest.raises(InputError, match=r"5.xyz has 6 numbers a point, and .* has 3 \(with :xyz after the name"):
        open_points(str(folder))
    assert open_points(f"{folder}:xyz").inputs.channels == 3


def test_files_with_classes_of_points_are_parts_of_categories(tmp_path: Path) -> None:
    for category, first in (("mug", 0), ("lamp", 2)):
        for number in range(10):
            labels = first + np.arange(30) % 2
            write_ply(tmp_path / category / f"{number}.ply", cloud(number + first), labels=labels)
    opened = open_points(str(tmp_path))
    assert opened.classes == ("0", "1", "2", "3")
    assert opened.parts == {"lamp": (2, 3), "mug": (0, 1)}
    assert opened.inputs.categories == 2
    assert opened.train.point_labels is not None
    assert np.bincount(opened.train.point_labels).min() > 0
    for at in ("mug", "lamp"):
        write_ply(tmp_path / at / "3.ply", cloud(3))
    with pytest.raises(InputError, match=r"3.ply has no classes of its points, and .* has"):
        open_points(str(tmp_path))


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    write(tmp_path / "flat", 3)
    with pytest.raises(InputError, match=r"there is no class folder in .*flat; put clouds or meshes in a folder"):
        open_points(str(tmp_path / "flat"))
    write(tmp_path / "one" / "cup", 10)
    with pytest.raises(InputError, match="one has one class, 'cup'; a network needs at least two"):
        open_points(str(tmp_path / "one"))
    (tmp_path / "one" / "bowl").mkdir()
    with pytest.raises(InputError, match=r"there is no cloud or mesh in the class folder .*bowl; add some"):
        open_points(str(tmp_path / "one"))
