"""Pathfinder one picture at a time, as published: whole pictures of numbers, and OpenCV's dilation.

Written from the definition (Linsley et al. 2018; settings of the Long Range Arena), with the arithmetic of the
published generator. Two things differ: numbers are doubles everywhere, and two masks that add up to exactly 1.8 cross,
where the generator's rounding decides.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from modernet.data.sequences.pathfinder.settings import Settings

Picture = NDArray[np.float64]
Point = tuple[int, int]  # y, x
SCALE = 2
PADDLE_TRIALS, SNAKE_TRIALS = 3, 5


class Snake(NamedTuple):
    pivot: Point
    orientation: float
    mask: Picture
    """Of its last paddle."""
    end: Point


def reduced(large: NDArray[np.uint8], size: int) -> Picture:
    return np.asarray(Image.fromarray(large).resize((size, size), Image.Resampling.LANCZOS)) / 255


def moved(point: Point, orientation: float, distance: float) -> Point:
    return math.ceil(point[0] + distance * np.sin(orientation)), math.ceil(point[1] + distance * np.cos(orientation))


def turned(orientation: float) -> float:
    return orientation + np.pi if orientation < 0 else orientation - np.pi


def disc(radius: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (x**2 + y**2 <= radius**2).astype(np.uint8)


def paddle(s: Settings, margin: int, size: int, start: Point, orientation: float) -> tuple[Picture, Picture]:
    """Return the line and the mask of a paddle in a picture of some size."""
    half = s.paddle_length + math.ceil(s.thickness) + margin
    middle = half * SCALE
    large = Image.new("F", (2 * middle + 1, 2 * middle + 1))
    y, x = moved((middle, middle), orientation, s.paddle_length * SCALE)
    ImageDraw.Draw(large).line([(middle, middle), (x, y)], fill="white", width=round(s.thickness * SCALE))
    line = np.asarray(large)
    pictures = []
    for part in (line, cv2.dilate(line, disc(margin * SCALE))):
        picture = np.zeros((size + 2 * half, size + 2 * half))
        window = np.s_[start[0] : start[0] + 2 * half + 1, start[1] : start[1] + 2 * half + 1]
        picture[window] = reduced(part.astype(np.uint8), 2 * half + 1)
        pictures.append(picture[half : half + size, half : half + size])
    return pictures[0], pictures[1]


def room(s: Settings, margin: int, occupied: Picture, orientation: float) -> NDArray[np.int64]:
    """Return the pixels, (n, 2), where a paddle of this orientation may begin."""
    size = 2 * (s.paddle_length + margin) + 1
    start = s.paddle_length + margin + 1
    kernel = paddle(s, margin, size, (start, start), orientation)[1].astype(np.uint8)
    hit = np.ceil(cv2.dilate(occupied, kernel) - 0.3)
    return np.argwhere(hit == 0) if hit.min() >= 0 else np.empty((0, 2), np.int64)


def outside(s: Settings, *points: Point) -> bool:
    return not all(0 <= place < s.side for point in points for place in point)


def degree(rng: np.random.Generator) -> float:
    return rng.integers(-180, 180) * np.pi / 180


def first_paddle(s: Settings, margin: int, start: Point, orientation: float) -> tuple[Snake, Picture] | None:
    head = moved(start, orientation, s.paddle_length)
    pivot = moved(head, turned(orientation), s.paddle_length + margin)
    if outside(s, start, head, pivot):
        return None
    line, mask = paddle(s, margin, s.side, start, orientation)
    return Snake(pivot, orientation, mask, start), line


def seed(s: Settings, margin: int, occupied: Picture, rng: np.random.Generator) -> tuple[Snake, Picture] | None:
    """Begin a snake where there is room."""
    for _ in range(PADDLE_TRIALS):
        orientation = degree(rng)
        places = room(s, margin, occupied, orientation)
        if not len(places):
            return None
        y, x = places[rng.integers(len(places))].tolist()
        if found := first_paddle(s, margin, (y, x), orientation):
            return found
    return None


def choices(
    s: Settings, margin: int, snake: Snake, mask: Picture
) -> tuple[Point, NDArray[np.int64], NDArray[np.float64]]:
    """Return the next pivot, and the places (n, 2) around it where a paddle may end, with their weights."""
    pivot = moved(snake.pivot, snake.orientation, s.paddle_length + 2 * margin)
    radius = s.paddle_length + margin
    angles = np.arange(0, 360, 360 / (2 * radius * np.pi)) * np.pi / 180
    y, x = pivot[0] + radius * np.sin(angles), pivot[1] + radius * np.cos(angles)
    inside = (y >= 0) & (y < s.side) & (x >= 0) & (x < s.side)
    places = np.unique(np.stack([y, x], 1)[inside].astype(int), axis=0)
    if not len(places):
        return pivot, places, np.empty(0)
    away = np.abs(np.arctan2(places[:, 0] - pivot[0], places[:, 1] - pivot[1]) - snake.orientation)
    turn = np.minimum(np.minimum(away, 2 * np.pi - away) * s.continuity, np.pi / 2)
    free = 1 - cv2.dilate(mask, disc(margin))[places[:, 0], places[:, 1]]
    return pivot, places, free * np.cos(turn) ** 2


def extend(
    s: Settings, margin: int, snake: Snake, mask: Picture, rng: np.random.Generator
) -> tuple[Snake, Picture, Picture] | None:
    """Return the snake with one paddle more, its line, and the mask with the paddle before it."""
    pivot, places, weights = choices(s, margin, snake, mask)
    if weights.sum() < 1e-4:
        return None
    for _ in range(PADDLE_TRIALS):
        y, x = places[np.argmax(np.cumsum(weights / weights.sum()) > rng.random())].tolist()
        orientation = float(np.arctan2(y - pivot[0], x - pivot[1]))
        line, occupied = paddle(s, margin, s.side, (y, x), turned(orientation))
        if (mask + occupied).max() < 1.8 - 1e-9:
            return Snake(pivot, orientation, occupied, (y, x)), line, np.maximum(mask, snake.mask)
    return None


def long_snakes(
    s: Settings, margin: int, rng: np.random.Generator
) -> tuple[Picture, Picture, list[tuple[Point, Point]]] | None:
    """Return the picture of two long snakes, the mask, and where each begins and ends; None if they do not fit."""
    mask = np.ones((s.side, s.side))
    mask[s.padding : -s.padding, s.padding : -s.padding] = 0
    closed = np.ones_like(mask)
    free = s.padding if s.anywhere else max(s.padding, 2 * s.seed_distance)
    closed[free:-free, free:-free] = 0
    first = seed(s, margin, closed, rng)
    if first is None:
        return None
    for _ in range(PADDLE_TRIALS):
        orientation, angle = degree(rng), rng.integers(360) * np.pi / 180
        y, x = (
            round(place + s.seed_distance * float(wave(angle)))
            for place, wave in zip(first[0].end, (np.sin, np.cos), strict=True)
        )
        second = first_paddle(s, margin, (y, x), orientation)
        if second is not None:
            break
    else:
        return None
    snakes = [first[0], second[0]]
    picture = np.maximum(first[1], second[1])
    for _ in range(s.contour_length - 1):
        for index in range(2):
            longer = extend(s, margin, snakes[index], mask, rng)
            if longer is None:
                return None
            snakes[index], line, mask = longer
            picture = np.maximum(picture, line)
    mask = np.maximum(mask, snakes[1].mask)
    return picture, mask, [(first[0].end, snakes[0].end), (second[0].end, snakes[1].end)]


def short_snake(s: Settings, margin: int, mask: Picture, rng: np.random.Generator) -> tuple[Picture, Picture] | None:
    if (np.ceil(mask - 0.3) == 0).mean() < 0.01:
        return None
    begun = seed(s, margin, mask, rng)
    if begun is None:
        return None
    snake, picture = begun
    for _ in range(s.distractor_length - 1):
        longer = extend(s, margin, snake, mask, rng)
        if longer is None:
            return None
        snake, line, mask = longer
        picture = np.maximum(picture, line)
    return picture, np.maximum(mask, snake.mask)


def marker(s: Settings, point: Point) -> Picture:
    y, x = np.ogrid[: s.side * SCALE, : s.side * SCALE]
    inside = (y - point[0] * SCALE) ** 2 + (x - point[1] * SCALE) ** 2 <= (s.marker_radius * SCALE) ** 2
    return reduced(np.where(inside, 255, 0).astype(np.uint8), s.side)


def saved(picture: Picture) -> NDArray[np.uint8]:
    """Stretch a picture to 0 ... 255, as it was saved."""
    return ((picture - picture.min()) * (255 / (picture.max() - picture.min())) + 0.5).astype(np.uint8)


class Drawn(NamedTuple):
    image: NDArray[np.uint8]
    label: int
    attempts: int
    distractors: int


def draw(s: Settings, rng: np.random.Generator) -> Drawn:
    """Draw one picture."""
    label = int(rng.integers(2))
    margin = int(rng.choice(s.margins))
    attempts = 1
    while (pair := long_snakes(s, margin, rng)) is None:
        attempts += 1
    targets, mask, ends = pair
    picture = targets * s.target_contrast
    distractors = 0
    for _ in range(s.distractors):
        for _ in range(SNAKE_TRIALS):
            if drawn := short_snake(s, margin, mask, rng):
                picture, mask = np.maximum(picture, drawn[0] * s.distractor_contrast), drawn[1]
                distractors += 1
                break
    origin = int(rng.integers(2))
    for point in (ends[origin][0], ends[origin if label else 1 - origin][1]):
        picture = np.maximum(picture, marker(s, point))
    return Drawn(saved(picture), label, attempts, distractors)
