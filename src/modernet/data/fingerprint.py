"""The digest by which a run knows its data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

import torch

from modernet.data.dataset import ImageDataset, InMemory, OnDisk, OpenedSplit, Split
from modernet.data.sources.examples import Examples

_CHUNK = 1000  # images


def fingerprint(dataset: ImageDataset) -> str:
    """Return a short digest of a data set: classes, targets and images of each split in order, mean and std.

    Images in memory count by their pixels; others by their identity and version (`Images.versions`), so that none is
    decoded. The digest does not depend on where the data set is stored, or on the number of threads.
    """
    digest = _digest(dataset.classes, dataset.train, dataset.validation, dataset.test)
    preparation = dataset.preparation
    digest.update(json.dumps([round(value, 3) for value in (*preparation.mean, *preparation.std)]).encode())
    return digest.hexdigest()[:12]


def split_fingerprint(opened: OpenedSplit) -> str:
    """Return a short digest of one split: its classes, targets and images in order, as `fingerprint` has them.

    Images count as they are stored, so that it is the same for networks that they are prepared for differently.
    """
    split = opened.split if opened.stored is None else opened.stored
    return _digest(opened.classes, split).hexdigest()[:12]


def examples_fingerprint(classes: Sequence[str], examples: Examples) -> str:
    """Return the digest that `split_fingerprint` has of the same images on disk, before they are opened."""
    split = OnDisk(examples.images, torch.from_numpy(examples.indices), examples.targets)
    return _digest(classes, split).hexdigest()[:12]


def _digest(classes: Sequence[str], *splits: Split) -> hashlib._Hash:
    digest = hashlib.sha256(json.dumps(classes).encode())
    for split in splits:
        digest.update(split.targets.digest())
        for content in _contents(split):
            digest.update(content)
    return digest


def _contents(split: Split) -> Iterator[bytes | memoryview]:
    """Yield what identifies the images of a split, some at a time."""
    for start in range(0, len(split), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        if isinstance(split, InMemory):
            # as channels last, in which they are stored: no copy, and the same bytes in any layout
            yield split.images[chunk].permute(0, 2, 3, 1).contiguous().cpu().numpy().data
        else:
            assert isinstance(split, OnDisk)
            indices = split.indices[chunk].numpy()
            identities = [split.images.identity(index) for index in indices.tolist()]
            yield json.dumps(identities).encode()  # names of files need not be UTF-8: JSON escapes them
            yield split.images.versions(indices).astype("<i8").tobytes()
