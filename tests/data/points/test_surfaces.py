from __future__ import annotations

import math

import numpy as np
import pytest

from modernet.data.points.surfaces import areas, joined, on_triangles, revolved
from modernet.data.points.turning import turning

CYLINDER = [(0, -1), (1, -1), (1, 1), (0, 1)]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_points_of_a_triangle_are_inside_of_it_and_evenly_spread() -> None:
    triangle = np.array([[[0.0, 0, 0], [2, 0, 0], [0, 2, 0]]])
    points, of = on_triangles(triangle, 20_000, rng())
    assert (of == 0).all()
    assert (points[:, :2] >= 0).all()
    assert (points[:, 0] + points[:, 1] <= 2).all()
    assert (points[:, 2] == 0).all()
    assert points.mean(0) == pytest.approx([2 / 3, 2 / 3, 0], abs=0.01)  # the centroid
    corner = (points[:, 0] + points[:, 1] < 1).mean()  # a triangle of half the sides
    assert corner == pytest.approx(0.25, abs=0.01)


def test_triangles_get_points_by_their_area_and_those_without_get_none() -> None:
    small, large, line = (
        [[0.0, 0, 0], [1, 0, 0], [0, 1, 0]],
        [[5.0, 0, 0], [8, 0, 0], [5, 1, 0]],
        [[0.0, 0, 0], [1, 0, 0], [9, 0, 0]],
    )
    triangles = np.array([line, small, line, large, line])
    assert areas(triangles) == pytest.approx([0, 0.5, 0, 1.5, 0])
    _, of = on_triangles(triangles, 10_000, rng())
    assert np.bincount(of, minlength=5) / 10_000 == pytest.approx([0, 0.25, 0, 0.75, 0], abs=0.02)
    assert set(of.tolist()) == {1, 3}


def test_a_line_that_is_revolved_has_the_area_of_the_solid() -> None:
    side, caps = 4 * math.pi, 2 * math.pi  # of a cylinder of radius 1 and height 2
    solid = revolved(CYLINDER, [0, 1, 0], sides=480)
    of_faces = areas(solid.triangles)
    assert of_faces.sum() == pytest.approx(side + caps, rel=1e-4)
    assert of_faces[solid.parts == 1].sum() == pytest.approx(side, rel=1e-4)
    half = revolved(CYLINDER, sides=480, sweep=math.pi)
    assert areas(half.triangles).sum() == pytest.approx((side + caps) / 2, rel=1e-4)
    box = revolved(CYLINDER, sides=4, start=math.pi / 4)
    assert np.abs(box.triangles[..., :2]).max() == pytest.approx(math.sqrt(0.5))  # its sides are along the axes
    assert areas(box.triangles).sum() == pytest.approx(2 * 2 + 4 * math.sqrt(2) * 2)


def test_surfaces_are_scaled_then_turned_then_moved() -> None:
    flat = revolved([(0, 0), (1, 0)])
    moved = flat.moved(by=(10, 0, 0), scale=(1, 2, 1), turn=turning(2, math.pi / 2))  # y goes to -x
    low, high = moved.triangles.reshape(-1, 3).min(0), moved.triangles.reshape(-1, 3).max(0)
    assert [*low, *high] == pytest.approx([8, -1, 0, 12, 1, 0], abs=1e-9)
    both = joined([flat, moved._replace(parts=moved.parts + 3)])
    assert np.unique(both.parts).tolist() == [0, 3]
    assert len(both.triangles) == 2 * len(flat.triangles)


@pytest.mark.parametrize(("axis", "start", "end"), [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_a_turn_takes_the_next_axis_to_the_one_after(axis: int, start: int, end: int) -> None:
    assert turning(axis, math.pi / 2) @ np.eye(3)[start] == pytest.approx(np.eye(3)[end])
