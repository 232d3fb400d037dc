"""Small copies of the published folders."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from modernet.data.points.opening import open_points
from modernet.errors import InputError


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def write(file: Path, **arrays: np.ndarray) -> None:
    with h5py.File(file, "w") as opened:
        for name, values in arrays.items():
            opened[name] = values


@pytest.fixture
def modelnet(tmp_path: Path) -> Path:
    """Three classes, two files for training and one for testing; the lists name paths of another place."""
    for seed, name in enumerate(("train0", "train1", "test0")):
        labels = (np.arange(24) % 3)[:, None].astype(np.uint8)
        write(tmp_path / f"ply_data_{name}.h5", data=rng(seed).normal(size=(24, 40, 3)).astype("f4"), label=labels)
    (tmp_path / "train_files.txt").write_text("data/m/ply_data_train0.h5\ndata/m/ply_data_train1.h5\n")
    (tmp_path / "test_files.txt").write_text("data/m/ply_data_test0.h5\n")
    (tmp_path / "shape_names.txt").write_text("airplane\nbathtub\nbed\n")
    return tmp_path


def test_modelnet_is_tested_on_its_own_split_with_points_in_their_order(modelnet: Path) -> None:
    opened = open_points(str(modelnet))
    assert opened.classes == ("airplane", "bathtub", "bed")
    assert opened.up == 1
    assert len(opened.test) == 24
    assert len(opened.train) + len(opened.validation) == 48
    assert np.array_equal(opened.test.clouds.values, rng(2).normal(size=(24, 40, 3)).astype("f4").reshape(-1, 3))
    assert opened.test.labels.tolist() == (np.arange(24) % 3).tolist()
    assert np.bincount(opened.validation.labels).min() >= 1


def test_damaged_files_are_one_line(modelnet: Path) -> None:
    file = modelnet / "ply_data_train1.h5"
    whole = file.read_bytes()
    file.write_bytes(whole[:2000])
    with pytest.raises(InputError, match=r"cannot read .*train1.h5: .*; download it again"):
        open_points(str(modelnet))
    write(file, data=np.zeros((3, 4, 3), "f4"))
    with pytest.raises(InputError, match=r"train1.h5 has no label, but data; download it again"):
        open_points(str(modelnet))
    write(file, data=np.zeros((3, 4, 3), "f4"), label=np.array([[0], [1], [7]]))
    with pytest.raises(InputError, match=r"train1.h5 has the label 7, and there are 3 classes"):
        open_points(str(modelnet))
    write(file, data=np.zeros((3, 4, 3), "f4"), label=np.array([[0], [1], [-1]]))
    with pytest.raises(InputError, match=r"train1.h5 has the label -1, and there are 3 classes"):
        open_points(str(modelnet))
    (modelnet / "shape_names.txt").unlink()
    with pytest.raises(InputError, match=r"cannot read .*shape_names.txt: .*; it is part of the data"):
        open_points(str(modelnet))


def test_without_h5py_a_line_says_what_to_install(modelnet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"needs h5py, which is not installed; pip install 'modernet\[points\]'"):
        open_points(str(modelnet))


def test_shapenet_has_parts_of_sixteen_categories(tmp_path: Path) -> None:
    for seed, (split, n) in enumerate((("train", 32), ("val", 16), ("test", 16))):
        labels = np.arange(n) % 16
        parts = np.where(labels[:, None] == 11, 36 + np.arange(20) % 2, 0)  # of mugs; others are not looked at
        write(
            tmp_path / f"ply_data_{split}0.h5",
            data=rng(seed).normal(size=(n, 20, 3)).astype("f4"),
            label=labels[:, None].astype("u1"),
            pid=parts.astype("u1"),
        )
        (tmp_path / f"{split}_hdf5_file_list.txt").write_text(f"ply_data_{split}0.h5\n")
    opened = open_points(str(tmp_path))
    assert (len(opened.train), len(opened.validation), len(opened.test)) == (32, 16, 16)
    assert len(opened.classes) == 50
    assert opened.inputs.categories == len(opened.parts) == 16
    assert opened.parts["mug"] == (36, 37)
    assert opened.parts["table"] == (47, 48, 49)
    assert opened.classes[36:38] == ("mug 1", "mug 2")
    assert opened.train.labels[11] == list(opened.parts).index("mug")
    assert opened.train.point_labels is not None
    assert opened.train.point_labels.reshape(-1, 20)[11].tolist() == [36, 37] * 10


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    names = [f"Area_{area}_office_{room}" for area in (1, 5) for room in range(1, 31) for _ in range(3)]
    for number in range(2):
        write(
            tmp_path / f"ply_data_all_{number}.h5",
            data=rng(number).random((90, 30, 9)).astype("f4"),
            label=rng(number).integers(0, 13, (90, 30)).astype("u1"),
        )
    (tmp_path / "all_files.txt").write_text("indoor/ply_data_all_0.h5\nindoor/ply_data_all_1.h5\n")
    (tmp_path / "room_filelist.txt").write_text("\n".join(names) + "\n")
    return tmp_path


def test_an_area_of_rooms_is_tested_on_and_rooms_stay_whole(rooms: Path) -> None:
    opened = open_points(str(rooms))
    assert len(opened.test) == 90
    assert np.array_equal(opened.test.clouds[0], rng(1).random((90, 30, 9)).astype("f4")[0])
    assert len(opened.classes) == 13
    assert opened.parts == {"scene": tuple(range(13))}
    assert (opened.inputs.channels, opened.inputs.categories) == (9, 0)
    assert (opened.inputs.scaled, opened.inputs.centred, opened.inputs.normals) == (False, False, False)
    assert len(opened.validation) % 3 == 0, "the three blocks of a room are together"
    assert len(open_points(f"{rooms}:area1:xyz").test) == 90
    with pytest.raises(InputError, match="has no area 3; there are Area_1, Area_5"):
        open_points(f"{rooms}:area3")
    (rooms / "room_filelist.txt").write_text("Area_1_office_1\n")
    with pytest.raises(InputError, match="has 1 lines for 180 blocks"):
        open_points(str(rooms))
