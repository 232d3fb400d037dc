"""Masks as run lengths (RLE), the compressed form of COCO's files and metrics.

Runs go down the columns, from left to right, and begin with background. COCO stores them as a list of numbers or
compressed as text; an object may also be given as polygons, whose rasterisation is COCO's own (faster-coco-eval).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from hashlib import blake2b
from itertools import chain, pairwise
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.images.views import Box
from modernet.errors import InputError
from modernet.preparation import Size

Parts = Sequence[Sequence[float] | NDArray[np.float64]]

_FIRST = 48  # the byte of a group of no bits
_MORE, _SIGN = 32, 16  # bits of a group: another follows, and the sign of the last
_MOST_GROUPS = 7  # of 5 bits for a run


class Rle(TypedDict):
    """A mask as COCO's compressed run lengths.

    Attributes:
        size: height and width in pixels.
        counts: the runs, compressed.
    """

    size: list[int]
    counts: bytes


class Polygons(NamedTuple):
    """A mask as the union of polygons.

    Attributes:
        parts: at least one, each x, y, x, y, ... of three corners or more, in pixels.
        size: height and width of the image in pixels.
    """

    parts: Parts
    size: Size


def encode(mask: Tensor) -> Rle:
    """Compress a mask, bool (h, w)."""
    rle: Rle = coco_mask.encode(np.asfortranarray(mask.numpy(), dtype=np.uint8))
    return rle


def decode(rle: Rle) -> Tensor:
    """Return a mask, bool (h, w)."""
    return torch.from_numpy(np.ascontiguousarray(coco_mask.decode(rle))).bool()


def decode_window(rle: Rle) -> tuple[Box, Tensor]:
    """Return the smallest window that holds a mask, and the mask within it, bool (height, width).

    Only the columns of the window are filled, which takes a fraction of the time of `decode`. Both are empty where the
    mask has no pixel.
    """
    h = rle["size"][0]
    runs = _runs(rle["counts"])
    assert runs is not None, "compressed by us, or checked when it was read"
    edges = np.cumsum(runs)
    starts, ends = edges[: len(runs) // 2 * 2 : 2], edges[1::2]  # of foreground
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    if not len(starts):
        return Box(0, 0, 0, 0), torch.empty(0, 0, dtype=torch.bool)
    left, right = int(starts[0]) // h, int(ends[-1] - 1) // h + 1
    top, bottom = 0, h  # a run that goes on in the next column has the last row of one and the first of the other
    if (starts // h == (ends - 1) // h).all():
        top, bottom = int((starts % h).min()), int(((ends - 1) % h).max()) + 1
    borders = np.stack((starts, ends), 1).ravel() - left * h
    lengths = np.diff(borders, prepend=0, append=(right - left) * h)
    columns = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(right - left, h)
    return Box(top, left, bottom - top, right - left), torch.from_numpy(columns[:, top:bottom]).T


def from_polygons(parts: Parts, size: Size) -> Rle:
    """Rasterise polygons to the one mask that is their union, as COCO does.

    Args:
        parts: as in `Polygons`. What is further from the image than its size is moved there, since COCO's rasterisation
            needs memory for every pixel of an outline.
        size: height and width of the image in pixels.
    """
    h, w = size
    low, high = (-w, -h), (2 * w, 2 * h)
    corners = [np.clip(np.reshape(part, (-1, 2)).astype(np.float64), low, high).ravel().tolist() for part in parts]
    return merge(coco_mask.frPyObjects(corners, h, w))


def merge(masks: Sequence[Rle]) -> Rle:
    """Return the union of masks of one size."""
    rle: Rle = coco_mask.merge(list(masks))
    return rle


def parse_rle(stored: Mapping[str, object]) -> Rle:
    """Read run lengths as files store them: `size`, and `counts` as a list of numbers, or compressed as text or bytes.

    Raises:
        InputError: it is no such thing, or its runs do not sum to its size. The message has no name of the annotation.
    """
    size, counts = stored.get("size"), stored.get("counts")
    if not (isinstance(size, list | tuple) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
        raise InputError(f"its RLE has the size {size!r}; give height and width in pixels")
    h, w = size
    if isinstance(counts, str | bytes):
        compressed = counts.encode(errors="surrogatepass") if isinstance(counts, str) else counts
        runs = _runs(compressed)
    elif isinstance(counts, list) and all(type(run) is int for run in counts):
        compressed, runs = None, np.array(counts, dtype=np.float64)  # a run of any length must not overflow
    else:
        raise InputError("its RLE has no counts; give a list of runs, or compressed text")
    if runs is None or (runs < 0).any():
        raise InputError("its RLE is damaged")
    if runs.sum() != h * w:
        raise InputError(f"its RLE has runs of {runs.sum():.0f} pixels in all, and a size of {h} x {w} = {h * w}")
    if compressed is None:
        compressed = coco_mask.frPyObjects({"size": [h, w], "counts": counts}, h, w)["counts"]
    return {"size": [h, w], "counts": compressed}


def _runs(counts: bytes) -> NDArray[np.int64] | None:
    """Return the lengths of compressed runs; None if they are damaged.

    A number is groups of 5 bits, the lowest first, and from the fourth on the difference to the number before the last.
    """
    groups = np.frombuffer(counts, np.uint8).astype(np.int64) - _FIRST
    if not len(groups) or groups.min() < 0 or groups.max() >= 2 * _MORE or groups[-1] & _MORE:
        return None
    ends = np.flatnonzero((groups & _MORE) == 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MOST_GROUPS:
        return None
    places = np.arange(len(groups)) - np.repeat(starts, lengths)
    runs: NDArray[np.int64] = np.add.reduceat((groups & (_MORE - 1)) << (5 * places), starts)
    runs -= np.where(groups[ends] & _SIGN, 1 << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def area(rle: Rle) -> int:
    """Return the number of pixels of a mask."""
    return int(coco_mask.area(rle))


def box_xyxy(rle: Rle) -> tuple[float, float, float, float]:
    """Return the box around a mask, whose right and bottom edges are exclusive; all 0 where it has no pixel."""
    x, y, w, h = coco_mask.toBbox(rle).tolist()
    return x, y, x + w, y + h


class RleMaps:
    """Masks that are rasterised when they are read, as `Maps`; a million reach a worker process in four arrays.

    Args:
        masks: run lengths that `parse_rle` or `encode` returned, or polygons.
    """

    def __init__(self, masks: Iterable[Rle | Polygons]) -> None:
        masks = list(masks)
        sizes = [mask.size if isinstance(mask, Polygons) else mask["size"] for mask in masks]
        counts = [b"" if isinstance(mask, Polygons) else mask["counts"] for mask in masks]
        parts = [mask.parts if isinstance(mask, Polygons) else () for mask in masks]
        each = [part for of_mask in parts for part in of_mask]
        self._sizes = np.array(sizes, dtype=np.int64).reshape(-1, 2)
        self._counts, self._count_offsets = b"".join(counts), _offsets(counts)
        self._part_offsets, self._point_offsets = _offsets(parts), _offsets(each)
        # float64, since COCO rasterises in it: rounded corners would move a pixel here and there
        self._points = np.fromiter(chain.from_iterable(each), np.float64, self._point_offsets[-1])

    def __len__(self) -> int:
        return len(self._sizes)

    def rle(self, index: int) -> Rle:
        """Return a mask as run lengths."""
        h, w = self._sizes[index].tolist()
        first, last = self._part_offsets[index : index + 2].tolist()
        if first == last:
            start, end = self._count_offsets[index : index + 2].tolist()
            return {"size": [h, w], "counts": self._counts[start:end]}
        ends = self._point_offsets[first : last + 1].tolist()
        return from_polygons([self._points[a:b] for a, b in pairwise(ends)], (h, w))

    def identity(self, index: int) -> str:
        first, last = self._part_offsets[index : index + 2]
        start, end = self._count_offsets[index : index + 2]
        content = blake2b(self._sizes[index].tobytes(), digest_size=16)
        content.update(self._counts[start:end])
        ends = self._point_offsets[first : last + 1]
        content.update((ends - ends[0]).tobytes())
        content.update(self._points[ends[0] : ends[-1]].tobytes())
        return content.hexdigest()

    def read(self, index: int) -> Tensor:
        """As `Maps.read`: bool (h, w)."""
        return decode(self.rle(index))

    def window(self, index: int) -> tuple[Box, Tensor]:
        """As `MaskMaps.window`."""
        return decode_window(self.rle(index))


def _offsets(pieces: Iterable[Sized]) -> NDArray[np.int64]:
    """Return where each piece begins if they are put one after another, and the end of the last."""
    return np.cumsum([0, *map(len, pieces)], dtype=np.int64)
