"""Generated pictures in the cache folder: a function of settings, seed and index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from modernet.data.generating import Arrays, column, generated
from modernet.data.sequences.pathfinder.pictures import Pictures, draw_pictures
from modernet.data.sequences.pathfinder.settings import Settings
from modernet.files.fingerprint import json_sha256

VERSION = 1
"""Changes with everything that changes the pictures of a seed."""
_PIXELS_ROWS = 8000


def pictures_per_chunk(settings: Settings) -> int:
    """Return how many pictures are made together: a few seconds of work."""
    return _PIXELS_ROWS // settings.side


def chunk(settings: Settings, seed: int, index: int) -> Pictures:
    """Draw the pictures of one chunk."""
    rng = np.random.default_rng([seed % 2**63, index])
    return draw_pictures(settings, pictures_per_chunk(settings), rng)


def generated_pictures(name: str, settings: Settings, seed: int, n: int) -> Pictures:
    """Return the first n pictures of a seed, memory-mapped, after they were generated once.

    Raises:
        InputError: the cache folder cannot be written to.
    """
    digest = json_sha256([asdict(settings), VERSION])[:8]
    chunks = -(-n // pictures_per_chunk(settings))
    folder = generated(
        f"sequences/{name}-{digest}-{seed}-{n}", chunks, partial(_arrays, settings, seed), partial(join_pictures, n)
    )
    return map_pictures(folder)


def map_pictures(folder: Path) -> Pictures:
    """Return the pictures that `join_pictures` wrote."""
    return Pictures(np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "labels.npy"))


def join_pictures(n: int | None, chunks: Sequence[Path], folder: Path) -> None:
    """Write the pictures of all chunks, or the first n, into two files, one chunk at a time."""
    labels = np.concatenate([column(file, "labels") for file in chunks])[:n]
    side = column(chunks[0], "images").shape[-1]
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (len(labels), side, side))
    done = 0
    for file in chunks:
        some = column(file, "images")[: len(labels) - done]
        images[done : done + len(some)] = some
        done += len(some)
    images.flush()
    np.save(folder / "labels.npy", labels)


def _arrays(settings: Settings, seed: int, index: int) -> Arrays:
    return chunk(settings, seed, index)._asdict()
