from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from modernet.data.points.inputs import PointInputs
from modernet.data.points.moving import Moves, drawn_moves, prepared
from modernet.recipes.points import PointAugmentation

N = 400
NONE = PointAugmentation(turn=False)


def clouds(channels: int = 3) -> Tensor:
    return 3 + 5 * torch.rand(2, N, channels, generator=torch.Generator().manual_seed(0))


def moves(augmentation: PointAugmentation, up: int = 2, b: int = 2) -> Moves:
    return drawn_moves([np.random.default_rng(index) for index in range(b)], N, augmentation, up)


def test_clouds_are_centred_and_divided_by_their_largest_radius() -> None:
    seen = prepared(clouds(), PointInputs(N))
    torch.testing.assert_close(seen.mean(1), torch.zeros(2, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(seen.norm(dim=-1).amax(1), torch.ones(2))


def test_sized_clouds_are_divided_by_the_unit_and_others_are_left_where_they_are() -> None:
    x = clouds()
    sized = prepared(x, PointInputs(N, scaled=False, unit=4.0))
    torch.testing.assert_close(sized, (x - x.mean(1, keepdim=True)) / 4)
    torch.testing.assert_close(prepared(x, PointInputs(N, scaled=False, centred=False)), x)


def test_a_cloud_of_one_point_is_at_the_centre() -> None:
    assert prepared(torch.full((1, 5, 3), 7.0), PointInputs(5)).eq(0).all()


@pytest.mark.parametrize("up", [0, 1, 2])
def test_a_turn_keeps_heights_and_distances_and_moves_the_rest(up: int) -> None:
    inputs = PointInputs(N)
    still, moved = prepared(clouds(), inputs), prepared(clouds(), inputs, moves(PointAugmentation(), up))
    torch.testing.assert_close(moved[..., up], still[..., up])
    torch.testing.assert_close(moved.norm(dim=-1), still.norm(dim=-1))
    assert not torch.allclose(moved, still, atol=0.1)
    assert np.linalg.det(moves(PointAugmentation(), up).matrices) == pytest.approx([1, 1])  # no reflection


def test_normals_turn_with_the_points_and_other_channels_do_not() -> None:
    x = clouds(7)
    x[..., 3:6] = x[..., :3] - x[..., :3].mean(1, keepdim=True)  # a direction that is known after a turn
    tilted = moves(PointAugmentation(tilt=0.06, scale=0.2))
    seen = prepared(x, PointInputs(N, channels=7, scaled=False, normals=True), tilted)
    scales = torch.from_numpy(tilted.scales)[:, None, None]
    torch.testing.assert_close(seen[..., 3:6] * scales, seen[..., :3])
    torch.testing.assert_close(seen[..., 6], x[..., 6])
    others = prepared(x, PointInputs(N, channels=7), tilted)
    torch.testing.assert_close(others[..., 3:], x[..., 3:])


def test_scales_shifts_and_noise_are_within_their_cuts() -> None:
    drawn = moves(PointAugmentation(turn=False, scale=0.2, shift_points=0.1, jitter=0.01), b=200)
    assert drawn.scales.min() == pytest.approx(0.8, abs=0.02)
    assert drawn.scales.max() == pytest.approx(1.25, abs=0.02)
    assert drawn.scales.mean() == pytest.approx((0.8 + 1.25) / 2, abs=0.03)  # uniform
    assert np.abs(drawn.shifts).max() == pytest.approx(0.1, abs=0.01)
    assert drawn.noise.std() == pytest.approx(0.01, rel=0.02)
    assert 0.04 < np.abs(drawn.noise).max() <= np.float32(0.05)
    assert (drawn.matrices == np.eye(3)).all()


def test_tilts_are_cut_at_three_standard_deviations() -> None:
    drawn = moves(PointAugmentation(turn=False, tilt=0.3), b=2000)
    about_x = np.arctan2(drawn.matrices[:, 2, 1], drawn.matrices[:, 2, 2])  # the last row of Rz Ry Rx
    assert about_x.std() == pytest.approx(0.3, rel=0.05)
    assert 0.89 < np.abs(about_x).max() < 0.9001


def test_shifts_and_noise_are_relative_to_the_radius() -> None:
    x = clouds()
    shaken = moves(PointAugmentation(turn=False, shift_points=0.1, jitter=0.01))
    for inputs in (PointInputs(N), PointInputs(N, scaled=False, unit=0.5)):
        still = prepared(x, inputs)
        radius = still.norm(dim=-1).amax(1)[:, None, None]
        by = (prepared(x, inputs, shaken) - still) / radius
        torch.testing.assert_close(by, torch.from_numpy(shaken.shifts[:, None] + shaken.noise), rtol=1e-4, atol=1e-5)


def test_nothing_moves_without_augmentation() -> None:
    torch.testing.assert_close(
        prepared(clouds(), PointInputs(N), moves(NONE)), prepared(clouds(), PointInputs(N)), rtol=0, atol=0
    )
