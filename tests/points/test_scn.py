"""Shape contexts: every bin against a loop over pairs of points."""

from __future__ import annotations

import math

import pytest
import torch

from modernet.data.points.inputs import PointInputs
from modernet.errors import InputError
from modernet.points.scn import bin_members, shape_context_bins, sum_per_bin
from modernet.points.zoo import create_point_model


def bin_of(centre: list[float], other: list[float], radius: float, shells: int) -> int | None:
    """Return the bin about a centre where another point is; None beyond the radius."""
    distance = math.dist(centre, other)
    octant = sum(2**axis for axis in range(3) if other[axis] - centre[axis] >= 0)
    for shell in range(shells):
        if distance < radius / 2 ** (shells - 1 - shell):
            return 8 * shell + octant
    return None


@pytest.mark.parametrize(("radius", "shells"), [(0.5, 3), (1.2, 1), (100.0, 2)])
def test_features_are_summed_bin_by_bin(radius: float, shells: int) -> None:
    generator = torch.Generator().manual_seed(0)
    xyz = torch.rand(2, 30, 3, dtype=torch.float64, generator=generator)
    x = torch.randn(2, 30, 4, dtype=torch.float64, generator=generator)
    expected = torch.zeros(2, 30, 8 * shells, 4, dtype=torch.float64)
    for cloud in range(2):
        for i in range(30):
            for j in range(30):
                found = bin_of(xyz[cloud, i].tolist(), xyz[cloud, j].tolist(), radius, shells)
                if found is not None:
                    expected[cloud, i, found] += x[cloud, j]
    members = bin_members(shape_context_bins(xyz, radius, shells), 8 * shells)
    torch.testing.assert_close(sum_per_bin(x, members), expected.flatten(2), rtol=1e-12, atol=1e-12)
    assert len(members.rows) < 2 * 30 * 30 or radius == 100


def test_a_sum_has_the_gradient_of_a_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    xyz = torch.rand(2, 6, 3, dtype=torch.float64, generator=generator)
    x = torch.randn(2, 6, 2, dtype=torch.float64, generator=generator).requires_grad_()
    members = bin_members(shape_context_bins(xyz, 0.5, 2), 16)
    assert torch.autograd.gradcheck(lambda x: sum_per_bin(x, members), x)


def test_a_point_is_in_the_innermost_shell_about_itself() -> None:
    bins = shape_context_bins(torch.zeros(1, 1, 3), 0.5, 3)
    assert bins.tolist() == [[[7]]]


def test_a_radius_or_shells_that_cannot_be_are_refused() -> None:
    for changes in ({"radius": 0.0}, {"shells": 0}, {"shells": 32}):
        with pytest.raises(InputError, match="give a radius above 0 and 1 to 31 shells"):
            create_point_model("scn", PointInputs(), 5, **changes)
