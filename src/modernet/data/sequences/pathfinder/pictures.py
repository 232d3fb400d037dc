"""Pictures with two marked ends: of one long snake, or of two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modernet.data.sequences.pathfinder.distractors import Distractors, draw_distractors
from modernet.data.sequences.pathfinder.drawing import Bytes, draw_marker
from modernet.data.sequences.pathfinder.growth import stamp
from modernet.data.sequences.pathfinder.pairs import Pairs, draw_pairs
from modernet.data.sequences.pathfinder.settings import Settings
from modernet.data.sequences.pathfinder.tables import Places, Tables, tables


class Pictures(NamedTuple):
    """Pictures and their classes.

    Attributes:
        images: uint8 (n, side, side).
        labels: 1 where both marked ends are of one snake, int64 (n,).
    """

    images: Bytes
    labels: NDArray[np.int64]


def draw_pictures(settings: Settings, n: int, rng: np.random.Generator) -> Pictures:
    """Draw pictures as the published generator does: label, margin, long snakes, distractors, markers."""
    labels = rng.integers(2, size=n)
    margins = rng.choice(settings.margins, size=n)
    images = np.empty((n, settings.side, settings.side), np.uint8)
    for margin in settings.margins:
        chosen = np.flatnonzero(margins == margin)
        if not len(chosen):
            continue
        table = tables(settings, margin)
        pairs = draw_pairs(table, len(chosen), rng)
        distractors = draw_distractors(table, pairs.canvases, rng)
        origins = rng.integers(2, size=len(chosen))
        drawn = layers(table, pairs, distractors)
        for index, targets, others, ends in zip(
            chosen, *drawn, marked_ends(pairs, labels[chosen], origins), strict=True
        ):
            images[index] = compose(table, targets, others, ends)
    return Pictures(images, labels)


def marked_ends(pairs: Pairs, labels: NDArray[np.int64], origins: NDArray[np.int64]) -> Places:
    """Return the places of two markers for each picture, (n, 2).

    Args:
        labels: 1 marks the other end of the snake whose beginning is marked, 0 that of the other snake.
        origins: the snake whose beginning is marked.
    """
    rows = np.arange(len(labels))
    ends = np.where(labels == 1, origins, 1 - origins)
    return np.stack([pairs.places[rows, origins, 0], pairs.places[rows, ends, -1]], axis=1)


def compose(table: Tables, targets: Bytes, distractors: Bytes, ends: Places) -> Bytes:
    """Return a picture: the brightest of its parts, stretched so that its brightest pixel is 255, as it was saved.

    Args:
        targets: lines of the long snakes, (side, side).
        distractors: lines of the short ones, (side, side).
        ends: places of the markers.
    """
    settings = table.settings
    picture = np.maximum(
        targets / 255 * settings.target_contrast,
        distractors / 255 * settings.distractor_contrast,
    )
    for place in ends.tolist():
        y, x = divmod(place, table.width)
        rows, columns, marker = draw_marker(settings, y - table.border, x - table.border)
        picture[rows, columns] = np.maximum(picture[rows, columns], marker / 255)
    low, high = picture.min(), picture.max()
    stretched: Bytes = ((picture - low) * (255 / (high - low)) + 0.5).astype(np.uint8)
    return stretched


def layers(table: Tables, pairs: Pairs, distractors: Iterable[Distractors]) -> tuple[Bytes, Bytes]:
    """Return the lines of the long snakes and of the short ones, each (n, side, side)."""
    n, _, length = pairs.kinds.shape
    targets, others = np.zeros((2, n, table.area), np.uint8)
    for snake in range(2):
        for paddle in range(length):
            stamp(targets, table.lines, np.arange(n), pairs.kinds[:, snake, paddle], pairs.places[:, snake, paddle])
    for drawn in distractors:
        for kinds, places in zip(drawn.kinds.T, drawn.places.T, strict=True):
            stamp(others, table.lines, drawn.rows, kinds, places)
    inside = slice(table.border, table.border + table.settings.side)
    squares = (layer.reshape(n, table.width, table.width)[:, inside, inside] for layer in (targets, others))
    return tuple(squares)  # type: ignore[return-value]
