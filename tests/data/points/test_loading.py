from __future__ import annotations

import numpy as np
import pytest
import torch

from modernet.data import Place
from modernet.data.points.dataset import PointBatch, PointSplit
from modernet.data.points.inputs import PointInputs
from modernet.data.points.loading import PointLoader, parts_of_cloud, point_loader
from modernet.data.ragged import Ragged
from modernet.errors import InputError
from modernet.recipes.points import PointAugmentation

CPU = torch.device("cpu")
INPUTS = PointInputs(8, channels=4, scaled=False, centred=False)
ALL = PointAugmentation(tilt=0.06, scale=0.2, shift_points=0.1, jitter=0.01)


def split(n: int = 20, parts: bool = False) -> PointSplit:
    """Cloud i has 5 + i points; the fourth channel numbers all points, and the class of a point is its last digit."""
    lengths = 5 + np.arange(n)
    total = int(lengths.sum())
    values = np.random.default_rng(0).normal(size=(total, 5)).astype(np.float32)
    values[:, 3] = np.arange(total)
    labels = np.arange(total) % 10 if parts else None
    return PointSplit(Ragged(values, np.cumsum([0, *lengths])), np.arange(n) % 3, labels)


def loader(
    of: PointSplit,
    batch_size: int = 8,
    place: Place = Place(),  # noqa: B008
    *,
    train: bool = True,
    augmentation: PointAugmentation | None = ALL,
    inputs: PointInputs = INPUTS,
    seed: int = 3,
) -> PointLoader:
    return point_loader(
        of,
        inputs,
        batch_size=batch_size,
        device=CPU,
        seed=seed,
        place=place,
        train=train,
        augmentation=augmentation,
    )


def same(one: list[PointBatch], other: list[PointBatch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x[:4], y[:4], strict=True)
    )


def test_evaluation_shows_the_first_points_in_order_and_repeats_those_of_small_clouds() -> None:
    clouds = split()
    batches = list(loader(clouds, train=False).batches())
    assert [batch.counted for batch in batches] == [8, 8, 4]
    points = torch.cat([batch.points for batch in batches])
    assert points.dtype == torch.float32
    assert points.shape == (20, 8, 4)
    assert torch.equal(points[9], torch.from_numpy(clouds.clouds[9][:8, :4]))
    assert points[0, :, 3].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert torch.cat([batch.targets for batch in batches]).tolist() == clouds.labels.tolist()
    assert torch.cat([batch.positions for batch in batches]).tolist() == list(range(20))
    assert not batches[0].categories.any()


def test_training_shows_every_cloud_once_with_distinct_points_by_chance() -> None:
    clouds = split()
    shown: list[set[float]] = []
    for epoch in range(2):
        batches = list(loader(clouds).batches(epoch))
        positions = torch.cat([batch.positions for batch in batches])
        assert sorted(positions.tolist()) == list(range(20))
        points = torch.cat([batch.points for batch in batches])[positions.argsort()]
        numbers = points[..., 3].long()
        for cloud, row in enumerate(numbers.tolist()):
            start, end = clouds.clouds.offsets[cloud : cloud + 2].tolist()
            assert all(start <= number < end for number in row)
            assert len(set(row)) == min(8, end - start)  # all of a small one
        shown.append(set(numbers[19].tolist()))
    assert shown[0] != shown[1]


def test_points_are_moved_in_training_only() -> None:
    clouds = split()
    still = next(iter(loader(clouds, augmentation=None).batches()))
    moved = next(iter(loader(clouds).batches()))
    assert torch.equal(still.points[..., 3], moved.points[..., 3])  # the same points
    values = torch.from_numpy(clouds.clouds.values)
    assert torch.equal(still.points[..., :3], values[still.points[..., 3].long(), :3])
    assert not torch.allclose(still.points[..., :3], moved.points[..., :3], atol=0.1)
    evaluated = loader(clouds, train=False).batches(), loader(clouds, train=False, augmentation=None).batches()
    assert same(*map(list, evaluated))


def test_an_epoch_that_is_resumed_shows_the_same() -> None:
    whole = list(loader(split()).batches(1))
    assert same(whole[1:], list(loader(split()).batches(1, 1)))
    assert same(whole, list(loader(split()).batches(1)))
    assert not torch.equal(whole[0].points, next(iter(loader(split(), seed=4).batches(1))).points)


def test_two_processes_show_what_one_shows() -> None:
    clouds = split(parts=True)
    alone = list(loader(clouds, place=Place(2)).batches())
    ranks = [list(loader(clouds, place=Place(2, rank, 2)).batches()) for rank in range(2)]
    together = [batch for pair in zip(*ranks, strict=True) for batch in pair]
    assert same(alone, together)


def test_how_a_cloud_is_moved_does_not_depend_on_the_batch_it_is_in() -> None:
    small, large = (
        {
            int(position): cloud
            for batch in loader(split(), size).batches(2)
            for position, cloud in zip(batch.positions, batch.points, strict=True)
        }
        for size in (4, 20)
    )
    for position, cloud in small.items():
        torch.testing.assert_close(cloud, large[position])


def test_classes_of_points_follow_them() -> None:
    inputs = PointInputs(8, channels=4, scaled=False, centred=False, categories=3)
    clouds = split(parts=True)
    for train in (True, False):
        for batch in loader(clouds, train=train, inputs=inputs).batches():
            assert batch.targets.dtype == torch.int64
            assert torch.equal(batch.targets, batch.points[..., 3].long() % 10)
            assert torch.equal(batch.categories, torch.from_numpy(clouds.labels)[batch.positions])


def test_the_parts_of_a_cloud_have_all_of_its_points() -> None:
    cloud = np.random.default_rng(0).normal(size=(21, 5)).astype(np.float32)
    shown, rows = parts_of_cloud(cloud, INPUTS)
    assert shown.shape == (3, 8, 4)
    assert set(rows.ravel().tolist()) == set(range(21))
    assert torch.equal(shown, torch.from_numpy(cloud[rows, :4]))
    shown, rows = parts_of_cloud(cloud[:3], INPUTS)
    assert shown.shape == (1, 8, 4)
    assert set(rows[0].tolist()) == {0, 1, 2}


def test_mistakes_are_one_line() -> None:
    with pytest.raises(InputError, match="batch_size is 0; give 1 or more"):
        loader(split(), 0)
    with pytest.raises(InputError, match="have 5 numbers a point, and the network takes 6"):
        loader(split(), inputs=PointInputs(8, channels=6))
