from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modernet.data.points.dataset import PointDataset, PointSplit
from modernet.data.points.opening import open_points
from modernet.data.points.solids import dataset
from modernet.data.points.solids.dataset import POINTS, solids_dataset


@pytest.fixture(scope="module")
def shapes() -> PointDataset:
    return solids_dataset(sizes=(200, 20, 20))


@pytest.fixture(scope="module")
def objects() -> PointDataset:
    return solids_dataset(parts=True, sizes=(20, 10, 10))


def test_ten_classes_are_equally_frequent(shapes: PointDataset) -> None:
    assert shapes.classes[:3] == ("ball", "bowl", "box")
    assert np.bincount(shapes.train.labels).tolist() == [20] * 10
    assert (len(shapes.validation), len(shapes.test)) == (20, 20)
    assert set(shapes.train.clouds.lengths.tolist()) == {POINTS}
    assert (shapes.inputs.channels, shapes.inputs.categories, shapes.up, shapes.parts) == (3, 0, 2, {})


def test_a_cloud_is_a_function_of_seed_split_and_index(shapes: PointDataset) -> None:
    fewer = solids_dataset(sizes=(10, 10, 10))
    assert np.array_equal(fewer.train.clouds[9], shapes.train.clouds[9])
    other = solids_dataset(sizes=(10, 10, 10), seed=1)
    for one, two in ((fewer.train, other.train), (fewer.train, fewer.test)):
        assert not np.allclose(one.clouds[0], two.clouds[0], atol=0.1)


def test_points_are_in_random_order(shapes: PointDataset) -> None:
    cloud = shapes.train.clouds[2]
    assert cloud[:500].mean(0) == pytest.approx(cloud.mean(0), abs=0.15)
    assert cloud[:500].std(0) == pytest.approx(cloud.std(0), abs=0.1)


def test_moments_alone_do_not_tell_the_classes(shapes: PointDataset) -> None:
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    probe.fit(moments(shapes.train), shapes.train.labels)
    score = probe.score(moments(shapes.train), shapes.train.labels)
    assert score < 0.95, "even of the clouds that it has learned from"


def moments(split: PointSplit) -> np.ndarray:
    """Return what a cloud is like, whatever its size and its angle about z: its extents, and those of fourth order."""
    rows = []
    for index in range(len(split)):
        cloud = split.clouds[index] - split.clouds[index].mean(0)
        values, axes = np.linalg.eigh(cloud.T @ cloud / len(cloud))
        along = cloud @ axes / np.sqrt(values)
        rows.append([*np.sqrt(values / values.sum()), *(along**4).mean(0), *np.abs((along**3).mean(0))])
    return np.array(rows)


def test_every_part_of_an_object_occurs_and_belongs_to_its_category(objects: PointDataset) -> None:
    assert objects.classes[:3] == ("chair seat", "chair back", "chair legs")
    assert objects.inputs.categories == len(objects.parts) == 5
    assert objects.parts["mug"] == (6, 7)
    labels = objects.train.point_labels
    assert labels is not None
    for split_label, row in zip(objects.train.labels, labels.reshape(-1, POINTS), strict=True):
        assert set(row.tolist()) == set(objects.parts[list(objects.parts)[split_label]])


def test_parts_are_where_they_belong(objects: PointDataset) -> None:
    labels = objects.train.point_labels
    assert labels is not None
    table = objects.train.clouds[4]
    of = labels.reshape(-1, POINTS)[4]
    top, legs = (table[of == objects.classes.index(name)] for name in ("table top", "table legs"))
    assert np.median(top[:, 2]) > np.median(legs[:, 2])


def test_named_data_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (dataset._SHAPES, dataset._OBJECTS) == ((2000, 400, 400), (1000, 200, 200))
    monkeypatch.setattr(dataset, "_SHAPES", (20, 10, 10))
    monkeypatch.setattr(dataset, "_OBJECTS", (10, 5, 5))
    opened = open_points("solids", points=256)
    assert (len(opened.train), len(opened.validation), len(opened.test)) == (20, 10, 10)
    assert opened.inputs.points == 256
    assert opened.summary()["median_points"] == POINTS
    assert len(open_points("solids-parts").train) == 10
