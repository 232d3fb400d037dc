"""Find images that are the same, and images that look alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_BITS = 64
_FEWEST_EDGES = 16  # of the bits; an image with fewer edges (or fewer gaps) is nearly plain, and all such look alike
_ALIKE = 3  # bits that may differ, so that of four bands of bits one at least is the same
_BANDS = 4

Hashes = NDArray[np.uint64]


def difference_hash(image: Tensor) -> int:
    """Return a hash that is close for images that look alike: whether each of 8 x 8 cells is brighter than the one to
    its right (dHash). It hardly changes when an image is compressed again or resized.

    Args:
        image: uint8 (3, h, w).

    Returns:
        64 bits; 0 for an image with fewer pixels than cells.
    """
    if image.shape[1] < 8 or image.shape[2] < 9:
        return 0
    grey = image.float().mean(0)[None]
    cells = F.adaptive_avg_pool2d(grey, (8, 9))[0].round()  # rounded, since noise below a level is no edge
    bits = (cells[:, :-1] > cells[:, 1:]).flatten()
    return int(np.packbits(bits.numpy()).view(">u8")[0])


def repeated(digests: Sequence[bytes | None]) -> list[list[int]]:
    """Return groups of positions with equal digests, in order; None equals nothing."""
    places: dict[bytes, list[int]] = {}
    for position, digest in enumerate(digests):
        if digest is not None:
            places.setdefault(digest, []).append(position)
    return [positions for positions in places.values() if len(positions) > 1]


def look_alikes(hashes: Hashes, others: Hashes) -> dict[int, int]:
    """Map each of `hashes` that is at most three bits from one of `others` to the position of the nearest.

    Nearly plain images are left out, since their hashes are all similar.
    """
    nearest: dict[int, tuple[int, int]] = {}
    mine, theirs = np.flatnonzero(_has_edges(hashes)), np.flatnonzero(_has_edges(others))
    for band in range(_BANDS):
        shift = np.uint64(band * _BITS // _BANDS)
        keys = (hashes[mine] >> shift) & np.uint64(0xFFFF)
        their_keys = (others[theirs] >> shift) & np.uint64(0xFFFF)
        order = np.argsort(their_keys, kind="stable")
        their_keys, sorted_theirs = their_keys[order], theirs[order]
        starts, ends = (np.searchsorted(their_keys, keys, side) for side in ("left", "right"))
        for position, start, end in zip(mine.tolist(), starts.tolist(), ends.tolist(), strict=True):
            if start == end:
                continue
            distances = np.bitwise_count(others[sorted_theirs[start:end]] ^ hashes[position])
            best = int(distances.argmin())
            if distances[best] <= _ALIKE:
                found = int(distances[best]), int(sorted_theirs[start + best])
                nearest[position] = min(found, nearest.get(position, found))
    return {position: other for position, (_, other) in sorted(nearest.items())}


def _has_edges(hashes: Hashes) -> NDArray[np.bool_]:
    edges = np.bitwise_count(hashes)
    return (edges >= _FEWEST_EDGES) & (edges <= _BITS - _FEWEST_EDGES)
