"""PointNet++: every choice of points against a loop, and no dependence on their order at all."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modernet.data.points.inputs import PointInputs
from modernet.points.neighbourhoods import ball, canonical_order, farthest_points, interpolation, take
from modernet.points.zoo import create_point_model


def clouds(n: int = 40, channels: int = 3) -> Tensor:
    return torch.rand(2, n, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_clouds_are_sorted_by_all_channels_the_first_first() -> None:
    points = torch.randint(0, 3, (2, 60, 4), generator=torch.Generator().manual_seed(0)).float()
    found = take(points, canonical_order(points))
    for cloud, expected in zip(found.tolist(), points.tolist(), strict=True):
        assert cloud == sorted(expected)


def test_each_farthest_point_is_the_farthest_from_those_before() -> None:
    xyz = clouds()
    for cloud, indices in zip(xyz, farthest_points(xyz, 12).tolist(), strict=True):
        distances = torch.linalg.vector_norm(cloud[:, None] - cloud, dim=-1)
        assert indices[0] == int(torch.linalg.vector_norm(cloud - cloud.mean(0), dim=-1).argmax())
        for count in range(1, 12):
            assert indices[count] == int(distances[indices[:count]].min(0).values.argmax())


def test_a_ball_has_the_nearest_points_within_the_radius() -> None:
    xyz, centres = clouds(), clouds(5) + 0.05
    found = ball(xyz, centres, 0.35, 6)
    assert found.shape == (2, 5, 6)
    counts = set()
    for cloud in range(2):
        for centre in range(5):
            distances = torch.linalg.vector_norm(xyz[cloud] - centres[cloud, centre], dim=-1)
            inside = [int(i) for i in distances.argsort() if distances[i] < 0.35]
            expected = [*inside, *[int(distances.argmin())] * 6][:6]
            assert found[cloud, centre].tolist() == expected
            counts.add(min(len(inside), 7))
    assert len(counts) > 1
    assert 7 in counts


def test_interpolation_weighs_three_points_by_their_squared_distance() -> None:
    known, xyz = 0.9 * clouds(8) + 0.02, clouds(20)
    xyz[:, 0] = known[:, 3]
    index, weights = interpolation(known, xyz)
    for cloud in range(2):
        for i in range(1, 20):
            distances = torch.linalg.vector_norm(known[cloud] - xyz[cloud, i], dim=-1)
            nearest = distances.argsort()[:3]
            expected = distances[nearest] ** -2 / (distances[nearest] ** -2).sum()
            assert index[cloud, i].tolist() == nearest.tolist()
            torch.testing.assert_close(weights[cloud, i], expected, rtol=1e-9, atol=1e-9)
        assert index[cloud, 0, 0] == 3
        assert weights[cloud, 0, 0] > 1 - 1e-6
    index, weights = interpolation(known[:, :1], xyz)
    assert index.eq(0).all()
    assert weights.eq(1).all()


def test_parameters_are_the_release_s() -> None:
    """1.5 million, as Qian et al. 2022 (PointNeXt, arXiv 2206.04670) count those of the release's SSG."""
    network = create_point_model("pointnet2", PointInputs(), 40)
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1) == 1.5


@pytest.mark.parametrize("channels", [3, 5])
def test_the_order_of_points_changes_no_bit(channels: int) -> None:
    """Also with a grid, where most distances are equal, and points that are in the cloud more than once."""
    torch.manual_seed(0)
    network = create_point_model("pointnet2", PointInputs(channels=channels), 5).eval()
    segmenter = create_point_model("pointnet2", PointInputs(channels=channels, categories=2), 5, classes_of="points")
    points = torch.randint(0, 3, (2, 50, channels)).float() / 4
    order = torch.randperm(50)
    assert torch.equal(network(points), network(points[:, order]))
    categories = torch.tensor([0, 1])
    found = segmenter.eval()(points, categories)
    assert torch.equal(segmenter(points[:, order], categories), found[:, order])


def test_scenes_return_to_every_point() -> None:
    torch.manual_seed(0)
    network = create_point_model("pointnet2", PointInputs(channels=6), 13, classes_of="points").double().eval()
    points, nothing = clouds(70, 6), torch.zeros(2, dtype=torch.long)
    found, order = network(points, nothing), torch.randperm(70)
    assert found.shape == (2, 70, 13)
    assert torch.equal(network(points[:, order], nothing), found[:, order])
