"""Pictures of clouds."""

from __future__ import annotations

import numpy as np

from modernet.palette import palette
from modernet.points.drawing import draw_classes, draw_cloud


def rows_of(picture: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.flatnonzero((np.abs(picture.astype(int) - colour).sum(-1) < 150).any(1))


def test_what_points_up_is_drawn_above_whichever_axis_it_is() -> None:
    line = np.zeros((2, 3), np.float32)
    colours = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)
    for up in range(3):
        line[:] = 0
        line[0, up] = 5.0
        picture = draw_cloud(line, up, colours)
        assert picture.shape == (160, 160, 3)
        red, blue = (rows_of(picture, colour) for colour in colours)
        assert red.max() < blue.min()


def test_near_points_hide_far_ones_whatever_their_order() -> None:
    front = np.array([0.0, -1.0, 0.0]) + np.random.default_rng(0).uniform(-0.02, 0.02, (50, 3))
    points = np.concatenate([front, front * (1, -1, 1)]).astype(np.float32)
    nearer = draw_cloud(points, 2)
    assert (nearer == draw_cloud(points[::-1].copy(), 2)).all()
    dark = nearer[nearer.sum(-1) < 600]
    assert (dark[:, 2] >= dark[:, 0]).all()  # shades of one blue
    along = np.array(
        [np.cos(np.radians(25)) * -np.sin(np.radians(35)), np.cos(np.radians(25)) * np.cos(np.radians(35))]
    )
    away = np.array([*along, -np.sin(np.radians(25))])
    two = np.stack([-away, away]).astype(np.float32)  # one behind the other
    picture = draw_cloud(two, 2, np.array([[255, 0, 0], [0, 0, 255]], np.uint8))
    assert len(rows_of(picture, np.array([255, 0, 0])))
    assert not len(rows_of(picture, np.array([0, 0, 255])))


def test_a_single_point_is_drawn() -> None:
    assert (draw_cloud(np.full((1, 3), 7e6, np.float32), 1) < 255).any()


def test_classes_are_drawn_beside_each_other() -> None:
    points = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    zeros, ones = np.zeros(30, np.int64), np.ones(30, np.int64)
    picture = draw_classes(points, 2, zeros, ones, 2)
    left, right = picture[:, :160], picture[:, 168:]
    assert len(rows_of(left, palette(2)[0]))
    assert not len(rows_of(left, palette(2)[1]))
    assert len(rows_of(right, palette(2)[1]))
