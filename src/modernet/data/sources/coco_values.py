"""The values in COCO's json files, which tools write in many ways: ids, numbers, boxes, masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from modernet.data.images.rle import Polygons, from_polygons, merge, parse_rle
from modernet.data.sources.objects import Floats, Mask
from modernet.errors import InputError
from modernet.preparation import Size

_CORNERS = 3
_MOST_ID = 2**53  # above, not every float is an integer of its own


def mask_of(stored: object, size: Size) -> tuple[Mask | None, Sequence[str]]:
    """Read the segmentation of an object in an image of a size, and say what is wrong with it."""
    return (_quick_mask(stored, size) or _careful_mask(stored, size)) if stored else (None, ())


def _quick_mask(stored: object, size: Size) -> tuple[Mask, tuple[str, ...]] | None:
    """Read polygons with which nothing is wrong, in a microsecond; None for everything else."""
    if type(stored) is not list or any(type(part) is not list for part in stored):
        return None
    for part in stored:
        if len(part) < 2 * _CORNERS or len(part) % 2:
            return None
        try:
            total = float(sum(part))
        except (TypeError, OverflowError):
            return None
        if not np.isfinite(total) or total == size[0] * size[1]:  # the latter may be runs
            return None
    return Polygons(stored, size), ()


def _careful_mask(stored: object, size: Size) -> tuple[Mask | None, list[str]]:
    """Read polygons or run lengths, and say what is wrong with them.

    A list of whole numbers that sum to the pixels of the image, one of which is no coordinate in it, is one of runs.
    """
    if not isinstance(stored, dict | list):
        return None, ["its segmentation is neither polygons nor RLE"]
    nested = isinstance(stored, list) and any(isinstance(part, dict | list) for part in stored)
    h, w = size
    polygons: list[list[float]] = []
    masks = []
    wrong: list[str] = []
    for part in stored if nested else [stored]:
        if not isinstance(part, dict):
            corners = numbers_of(part if isinstance(part, list) else [part])
            if not np.isfinite(corners).all():
                wrong.append("its polygon has a corner that is no number")
                continue
            if corners.sum() != h * w or corners.max() <= max(size) or (corners != np.floor(corners)).any():
                if len(corners) % 2 or 0 < len(corners) < 2 * _CORNERS:
                    wrong.append(f"its polygon has {len(corners)} numbers; it needs two for each of three corners")
                elif len(corners):
                    polygons.append(corners.tolist())
                continue
            part = {"size": [h, w], "counts": corners.astype(np.int64).tolist()}
        try:
            mask = parse_rle(part)
        except InputError as error:
            wrong.append(str(error))
            continue
        if mask["size"] == [h, w]:
            masks.append(mask)
        else:
            order = "; write the height first" if mask["size"] == [w, h] else ""
            wrong.append(f"its RLE has the size {mask['size']}, its image has {h} rows and {w} columns{order}")
    if not masks:
        return (Polygons(polygons, size) if polygons else None), wrong
    if polygons:
        masks.append(from_polygons(polygons, size))
    return (merge(masks) if len(masks) > 1 else masks[0]), wrong


def boxes_of(stored: Sequence[object]) -> Floats:
    """Return boxes x, y, width, height as x1, y1, x2, y2; NaN where one is not four numbers."""
    try:
        boxes = np.array(stored, dtype=np.float64).reshape(len(stored), 4)
    except (TypeError, ValueError, OverflowError):
        rows = [numbers_of(box) if isinstance(box, list) and len(box) == 4 else np.full(4, np.nan) for box in stored]
        boxes = np.array(rows).reshape(-1, 4)
    return np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), 1)


def numbers_of(stored: Sequence[object]) -> Floats:
    """Return numbers, also those that are text; NaN for what is none."""
    try:
        numbers: Floats = np.array(stored, dtype=np.float64)
        if numbers.ndim == 1:
            return numbers
    except (TypeError, ValueError, OverflowError):
        pass
    return np.array([number_of(value) for value in stored], dtype=np.float64)


def text_of(value: object) -> str:
    """Return a name that can be printed; json may hold half of a surrogate pair."""
    return str(value).encode(errors="backslashreplace").decode()


def number_of(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def key_of(value: object) -> int | str:
    """Return an id as a number where it is one, also as text or with a point: the same one may be written differently.

    >>> key_of("7"), key_of(7.0), key_of("cat")
    (7, 7, 'cat')
    """
    if type(value) is int and abs(value) < _MOST_ID:
        return value
    number = number_of(value)
    return int(number) if number.is_integer() and abs(number) < _MOST_ID else str(value)
