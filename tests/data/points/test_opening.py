from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modernet.data.points.dataset import PointDataset, PointSplit
from modernet.data.points.fingerprint import point_fingerprint
from modernet.data.points.opening import open_points
from modernet.errors import InputError


def write(path: Path, n: int = 60, channels: int = 3, **arrays: Any) -> Path:
    """Write clouds of 50 points, of three classes; those of class 2 are ten times as large."""
    points = np.random.default_rng(0).normal(size=(n, 50, channels)).astype(np.float32)
    labels = np.arange(n) % 3
    points[labels == 2] *= 10
    np.savez(path, **{"points": points, "labels": labels, "names": ["car", "pole", "tree"], **arrays})
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "clouds.npz")


def rows(split: PointSplit) -> set[bytes]:
    return {split.clouds[index].tobytes() for index in range(len(split))}


def test_arrays_are_split_by_a_hash_of_each_cloud(file: Path) -> None:
    opened = open_points(str(file), points=32)
    assert opened.classes == ("car", "pole", "tree")
    assert len(opened.train) + len(opened.validation) + len(opened.test) == 60
    assert min(len(opened.validation), len(opened.test)) >= 3
    assert len(rows(opened.train) | rows(opened.validation) | rows(opened.test)) == 60
    assert opened.train.names[0].startswith(f"{file}, cloud ")
    assert opened.inputs.points == 32
    with np.load(file) as arrays:
        number = int(opened.test.names[1].rpartition(" ")[2])
        assert np.array_equal(opened.test.clouds[1], arrays["points"][number])
        assert opened.test.labels[1] == arrays["labels"][number]
        order = np.random.default_rng(1).permutation(60)
        np.savez(file, points=arrays["points"][order], labels=arrays["labels"][order], names=arrays["names"])
    assert rows(open_points(str(file)).test) == rows(opened.test), "rows may move"


def test_clouds_of_one_file_keep_their_size_in_units_of_the_median_radius(file: Path) -> None:
    sized, scaled = open_points(str(file)), open_points(f"{file}:scaled")
    assert (sized.inputs.scaled, scaled.inputs.scaled, scaled.inputs.unit) == (False, True, 1.0)
    assert sized.inputs.unit == pytest.approx(3, abs=0.7)  # the radius of 50 points, of two of three classes
    assert open_points(f"{file}:sized").inputs == sized.inputs


def test_another_size_of_the_same_clouds_is_other_data(file: Path) -> None:
    """A run that is resumed would else go on with clouds of another size."""
    usual, sized, scaled = (point_fingerprint(open_points(f"{file}{option}")) for option in ("", ":sized", ":scaled"))
    assert usual == sized != scaled


def folds(file: Path, k: int, at: str = "") -> list[PointDataset]:
    return [open_points(f"{file}:fold{number}of{k}{at}") for number in range(1, k + 1)]


def test_folds_are_equal_shares_of_each_class_and_together_all(file: Path) -> None:
    tested = [rows(data.test) for data in folds(file, 5)]
    assert len(set.union(*tested)) == sum(map(len, tested)) == 60
    for data in folds(file, 5, ":scaled"):
        assert np.bincount(data.test.labels).tolist() == [4, 4, 4]
        assert np.bincount(data.validation.labels, minlength=3).min() >= 1
        assert not rows(data.test) & (rows(data.train) | rows(data.validation))
        assert len(data.train) + len(data.validation) == 48
    assert "fold 2 of 5" in folds(file, 5)[1].provenance["splits"]


def test_what_is_not_coordinates_can_be_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "six.npz", channels=6)
    assert open_points(str(file)).inputs.channels == 6
    assert not open_points(str(file)).inputs.normals
    assert open_points(f"{file}:xyz").inputs.channels == 3


def test_three_numbers_of_length_one_are_normals(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(60, 50, 6)).astype(np.float32)
    points[..., 3:] /= np.linalg.norm(points[..., 3:], axis=-1, keepdims=True)
    assert open_points(str(write(tmp_path / "normals.npz", points=points))).inputs.normals


def test_labels_by_point_are_parts_of_categories(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (60, 50)) + 2 * (np.arange(60) % 2)[:, None]
    names = ["a0", "a1", "b0", "b1"]
    alike = open_points(str(write(tmp_path / "alike.npz", labels=labels, names=names)))
    assert (alike.classes, alike.parts, alike.inputs.categories) == (tuple(names), {"scene": (0, 1, 2, 3)}, 0)
    kinds = np.array(["a", "b"] * 30)
    named = open_points(str(write(tmp_path / "named.npz", labels=labels, names=names, categories=kinds)))
    assert named.parts == {"a": (0, 1), "b": (2, 3)}
    assert named.inputs.categories == 2
    assert named.test.point_labels is not None
    for index in range(len(named.test)):
        number = int(named.test.names[index].rpartition(" ")[2])
        assert np.array_equal(named.test.point_labels[50 * index : 50 * (index + 1)], labels[number])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("solid", "no data set of point clouds is called 'solid'; did you mean solids"),
        ("solids:fold1of5", "solids is generated and has no options; leave out :fold1of5"),
        ("{}/cloud.npz", "there is no file or folder .*cloud.npz; did you mean .*clouds.npz"),
        ("{}/clouds.npz:fold6of5", "fold 6 of 5 does not exist"),
        ("{}/clouds.npz:fold1of30", "class 'car' in .* has too few clouds, 20, for 30 folds"),
        ("{}/clouds.npz:fold1of5:fold2of5", "there is one fold to test on"),
        ("{}/clouds.npz:scaled:sized", "either scaled or sized"),
        ("{}/clouds.npz:area5", "clouds.npz has no areas; leave out :area5"),
        ("{}/empty", "has no known layout; known are .*solids-parts"),
    ],
)
def test_a_spec_of_nothing_is_one_line(file: Path, spec: str, message: str) -> None:
    (file.parent / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        open_points(spec.format(file.parent))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": np.zeros((60, 50))}, r"has points \(60, 50\) and labels \(60,\); it must have points"),
        ({"labels": np.zeros(3)}, r"labels \(3,\); it must have"),
        ({"labels": np.array([{}] * 60)}, "cannot read .*without Python objects"),
        ({"labels": np.arange(60)}, "cloud 3 has the label 3; there are 3 classes, 0 .car. to 2 .tree."),
        ({"labels": np.full(60, -1)}, "cloud 0 has the label -1; number classes from 0, below 10,000, or give their"),
        ({"labels": np.full(60, 12_345)}, "cloud 0 has the label 12345; number classes from 0"),
        ({"points": np.ones((60, 50, 3), complex)}, "has complex128, which are no numbers"),
        ({"labels": np.zeros(60, int), "names": ["car"]}, "has one class, 'car'; a network needs at least two"),
        ({"points": np.full((60, 50, 3), np.nan)}, "cloud .* has 50 of 50 points that are not finite; repair it"),
        ({"points": np.zeros((60, 50, 2))}, "has 2 numbers a point, and a point has at least x, y and z"),
        ({"points": np.zeros((60, 0, 3))}, "has no points"),
    ],
)
def test_arrays_of_something_else_are_one_line(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_points(str(write(tmp_path / "other.npz", **arrays)))


def test_a_broken_cloud_can_be_skipped(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(60, 50, 3))
    points[7, 3, 1] = np.inf
    file = write(tmp_path / "broken.npz", points=points)
    opened = open_points(str(file), skip_unreadable=True)
    assert opened.unreadable == (f"{file}, cloud 7",)
    assert len(opened.train) + len(opened.validation) + len(opened.test) == 59


@pytest.mark.data("dales_objects")
def test_lidar_objects_have_five_folds(data_folder: Path) -> None:
    opened = open_points(f"{data_folder / 'points_1024.npz'}:fold1of5")
    assert opened.classes == ("building", "car", "fence", "pole", "tree")
    assert np.bincount(opened.test.labels).tolist() == [20] * 5
    assert len(opened.train) + len(opened.validation) == 399
    assert not opened.inputs.scaled
