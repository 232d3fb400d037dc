"""Pathfinder as sequences of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit, most_frequent_floor
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.inputs import SequenceInputs
from modernet.data.sequences.pathfinder.generation import VERSION, generated_pictures
from modernet.data.sequences.pathfinder.pictures import Pictures
from modernet.data.sequences.pathfinder.published import published_pictures
from modernet.data.sequences.pathfinder.settings import PUBLISHED
from modernet.data.sequences.sizes import SequenceSize
from modernet.errors import InputError

_CLASSES = ("apart", "connected")
_PICTURES: Mapping[SequenceSize, int] = {"published": 200_000, "nano": 10_000}
_NANO_LENGTH = 6


def pathfinder_dataset(
    side: int,
    size: SequenceSize = "published",
    *,
    seed: int = 0,
    clean: bool = False,
    folder: Path | None = None,
    pictures: int | None = None,
    tokens: bool = False,
) -> SequenceDataset:
    """Return Pathfinder, of which the version of 128 pixels is Path-X: are two marked ends those of one line?

    Pictures are generated as those of the Long Range Arena were, or read. 80 % are for training, then 10 % each for
    validation and test, in order. A sequence has the grey values of a picture row by row, as numbers from 0 to 1
    (as S4's code has them).

    Args:
        side: 32, 64, 128 or 256.
        size: "nano" has lines of 6 paddles instead of 14, the easiest of the published versions, and 10,000 pictures,
            which are halved: a sequence of 32 pixels has 256 steps.
        seed: of the generator. A seed's pictures are the same for any number of them, and of processes.
        clean: without the two shortcuts of the published pictures, see `Settings.clean`.
        folder: with the published pictures, or others in their layout.
        pictures: how many are generated, instead of the 200,000 of the published size.
        tokens: grey values as the Arena's code has them, each a token of 256, and black as padding.

    Raises:
        InputError: there is no such side, `folder` has another layout or contradicts the other arguments, or the cache
            folder cannot be written to.
    """
    if side not in PUBLISHED:
        raise InputError(f"there is no Pathfinder of {side} pixels; give one of {', '.join(map(str, PUBLISHED))}")
    options = ("-nano" if size == "nano" else "") + ("-clean" if clean else "")
    cached = f"pathfinder{side}{options}"
    name = f"pathfinder{side}_lra{options}" if tokens else cached
    if folder is not None:
        if size != "published" or clean or pictures is not None:
            raise InputError(f"the pictures in {folder} are as they are; give no folder to generate {name}")
        read = published_pictures(folder, side)
        provenance = {"source": "files", "folder": read.folder.name, "lists_sha256": read.digest}
        return _dataset(name, side, read.pictures, provenance, read.skipped, tokens=tokens)
    settings = PUBLISHED[side]
    if size == "nano":
        settings = replace(settings, contour_length=_NANO_LENGTH)
    if clean:
        settings = settings.clean()
    n = _PICTURES[size] if pictures is None else pictures
    if n < 10:
        raise InputError(f"pictures is {n}; give at least 10, so that each split has one")
    made = generated_pictures(cached, settings, seed, n)
    if size == "nano":
        made, side = _halved(made), side // 2
    values = {**asdict(settings), "margins": list(settings.margins)}
    return _dataset(
        name,
        side,
        made,
        {"generator": "pathfinder", "version": VERSION, "seed": seed, "pictures": n, "settings": values},
        tokens=tokens,
    )


def _halved(pictures: Pictures) -> Pictures:
    """Return pictures of half the side, the rounded means of 2 x 2 pixels."""
    n, side = pictures.images.shape[:2]
    means = pictures.images.reshape(n, side // 2, 2, side // 2, 2).mean((2, 4), dtype=np.float32)
    return Pictures(np.rint(means).astype(np.uint8), pictures.labels)


def _dataset(
    name: str,
    side: int,
    pictures: Pictures,
    provenance: Mapping[str, Any],
    skipped: tuple[str, ...] = (),
    *,
    tokens: bool,
) -> SequenceDataset:
    n, steps = len(pictures.labels), side**2
    if tokens:
        encoding = Encoding("grey_tokens", SequenceInputs(steps, vocabulary=256, zero_is_padding=True))
    else:
        encoding = Encoding("grey", SequenceInputs(steps, channels=1))

    def split(begin: int, end: int) -> SequenceSplit:
        values = pictures.images[begin:end].reshape((-1,) if tokens else (-1, 1))
        offsets = np.arange(end - begin + 1, dtype=np.int64) * steps
        return SequenceSplit((Ragged(values, offsets, encoding.scale, encoding.shift),), pictures.labels[begin:end])

    train, validation, test = (split(*ends) for ends in pairwise((0, n * 8 // 10, n * 9 // 10, n)))
    return SequenceDataset(
        name,
        train,
        validation,
        test,
        _CLASSES,
        encoding,
        provenance,
        most_frequent_floor(train, test),
        unreadable=skipped,
    )
