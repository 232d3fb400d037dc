"""Snakes grow as in the published generator: the same paddles, and the same choices given the same draws."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from data.sequences.reference import pathfinder as reference
from modernet.data.sequences.pathfinder.distractors import draw_distractors, free_places
from modernet.data.sequences.pathfinder.drawing import draw_marker, draw_paddle
from modernet.data.sequences.pathfinder.growth import Canvases, blank, extend, first_tips
from modernet.data.sequences.pathfinder.pairs import draw_pairs
from modernet.data.sequences.pathfinder.pictures import compose, layers, marked_ends
from modernet.data.sequences.pathfinder.settings import PUBLISHED
from modernet.data.sequences.pathfinder.tables import (
    DEGREES,
    Tables,
    first_orientation,
    opposite,
    ring_of,
    tables,
)

VERSIONS = [(32, 1), (64, 1), (128, 2), (128, 3), (256, 3)]


class Doubles:
    """Draws in double precision whatever is asked for, as the reference does."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def random(self, n: int, dtype: type) -> np.ndarray:
        return self._rng.random(n)


def inside(table: Tables, canvas: np.ndarray) -> np.ndarray:
    """Return the picture in a canvas."""
    window = slice(table.border, table.border + table.settings.side)
    return canvas.reshape(table.width, table.width)[window, window]


def point(table: Tables, place: int) -> tuple[int, int]:
    return place // table.width - table.border, place % table.width - table.border


def bordered(side: int, width: int) -> np.ndarray:
    mask = np.ones((side, side))
    mask[width:-width, width:-width] = 0
    return mask


@pytest.mark.medium
@pytest.mark.parametrize(("side", "margin"), VERSIONS)
def test_paddles_are_the_published_ones(side: int, margin: int) -> None:
    settings = PUBLISHED[side]
    half = settings.paddle_length + math.ceil(settings.thickness) + margin
    y, x = ring_of(settings.paddle_length + margin).T
    for orientation in [*first_orientation(np.arange(0, DEGREES, 3)), *opposite(np.arctan2(y, x))]:
        line, mask = reference.paddle(settings, margin, 2 * half + 1, (half, half), orientation)
        drawn = draw_paddle(settings, margin, orientation)
        assert np.array_equal(drawn.line, np.round(line * 255))
        assert np.array_equal(drawn.mask, np.round(mask * 255))


@pytest.mark.parametrize(("side", "margin"), [(32, 1), (128, 3)])
def test_snakes_make_the_same_choices_given_the_same_draws(side: int, margin: int) -> None:
    settings, table = PUBLISHED[side], tables(PUBLISHED[side], margin)
    rng = np.random.default_rng(side)
    steps = stopped = 0
    for seed in range(16):
        centre, degree = side // 2 + rng.integers(-3, 4, 2), rng.integers(DEGREES, size=1)
        y, x = centre.tolist()
        begun = reference.first_paddle(settings, margin, (y, x), float(first_orientation(degree)[0]))
        assert begun is not None
        snake, mask = begun[0], bordered(side, settings.padding)
        canvases = Canvases(*(canvas.copy() for canvas in blank(table)))
        tips, _ = first_tips(table, centre[:1], centre[1:], degree)
        for step in range(settings.contour_length - 1):
            entropy = 100 * seed + step
            expected = reference.extend(settings, margin, snake, mask, np.random.default_rng(entropy))
            kept, tips = extend(table, canvases, np.array([0]), tips, Doubles(entropy))  # type: ignore[arg-type]
            assert len(kept) == (expected is not None)
            if expected is None:
                stopped += 1
                break
            snake, _, mask = expected
            steps += 1
            assert (tips.y.item(), tips.x.item()) == snake.pivot
            assert point(table, tips.place.item()) == snake.end
        assert np.array_equal(inside(table, canvases.masks), np.round(mask * 255))
        dilated = cv2.dilate(mask, reference.disc(margin))
        assert np.array_equal(inside(table, canvases.dilated), np.round(dilated * 255))
    assert steps > 60
    assert stopped > 3


@pytest.mark.medium
@pytest.mark.parametrize(("side", "margin"), VERSIONS)
def test_first_snakes_begin_where_the_published_ones_may(side: int, margin: int) -> None:
    settings, table = PUBLISHED[side], tables(PUBLISHED[side], margin)
    closed = bordered(side, max(settings.padding, 2 * settings.seed_distance))
    for degree in range(0, DEGREES, 1 if side == 32 else 24):
        expected = reference.room(settings, margin, closed, float(first_orientation(np.array(degree))))
        assert table.central[degree].prod() == len(expected)
        if len(expected):
            assert table.least[degree].tolist() == expected.min(0).tolist()
            assert (table.least + table.central - 1)[degree].tolist() == expected.max(0).tolist()


@pytest.mark.parametrize(("side", "margin"), [(32, 1), (128, 2)])
def test_short_snakes_begin_where_the_published_ones_may(side: int, margin: int) -> None:
    table = tables(PUBLISHED[side], margin)
    masks = draw_pairs(table, 2, np.random.default_rng(0)).canvases.masks
    some = 0
    for mask in masks:
        for degree in range(0, DEGREES, 15):
            orientation = float(first_orientation(np.array(degree)))
            expected = reference.room(table.settings, margin, inside(table, mask) / 255, orientation)
            if table.blind[degree]:
                assert not len(expected)
            else:
                assert np.array_equal(np.argwhere(free_places(table, mask, degree)), expected)
                some += len(expected)
    assert some > 100


@pytest.mark.parametrize(("side", "margin"), VERSIONS)
def test_markers_are_the_published_ones_near_a_border_too(side: int, margin: int) -> None:
    settings = PUBLISHED[side]
    for y, x in [(2, 2), (side - 3, 7), (5, side - 2), (side // 2, side // 2 + 3), (side - 9, 10), (0, side - 1)]:
        drawn = np.zeros((side, side))
        rows, columns, marker = draw_marker(settings, y, x)
        drawn[rows, columns] = marker
        assert np.array_equal(drawn, np.round(reference.marker(settings, (y, x)) * 255))


@pytest.mark.medium
@pytest.mark.parametrize("side", [32, 128])
def test_pictures_are_composed_as_published(side: int) -> None:
    settings = PUBLISHED[side]
    margin = settings.margins[-1]
    table, rng = tables(settings, margin), np.random.default_rng(1)
    pairs = draw_pairs(table, 2, rng)
    found = draw_distractors(table, pairs.canvases, rng)
    ends = marked_ends(pairs, np.array([0, 1]), np.array([1, 1]))
    drawn = layers(table, pairs, found)
    y, x = ring_of(settings.paddle_length + margin).T
    orientations = [*first_orientation(np.arange(DEGREES)), *opposite(np.arctan2(y, x))]

    def line(kind: int, place: int) -> np.ndarray:
        return reference.paddle(settings, margin, side, point(table, place), orientations[kind])[0]

    for row in range(2):
        picture = np.zeros((side, side))
        for kind, place in zip(pairs.kinds[row].flat, pairs.places[row].flat, strict=True):
            picture = np.maximum(picture, line(kind, place) * settings.target_contrast)
        for distractors in found:
            here = distractors.rows == row
            for kind, place in zip(distractors.kinds[here].flat, distractors.places[here].flat, strict=True):
                picture = np.maximum(picture, line(kind, place) * settings.distractor_contrast)
        for place in ends[row]:
            picture = np.maximum(picture, reference.marker(settings, point(table, place)))
        assert np.array_equal(compose(table, drawn[0][row], drawn[1][row], ends[row]), reference.saved(picture))
