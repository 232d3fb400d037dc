"""The digest by which a run knows its point clouds."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from modernet.data.points.dataset import PointDataset, PointSplit


def point_fingerprint(dataset: PointDataset) -> str:
    """Return a short digest of a data set: classes, parts, and the clouds in order, with the size that an option gives
    them.

    Where `provenance` names a generator, it says all of the clouds; others count by their content.
    """
    splits = dataset.train, dataset.validation, dataset.test
    about: dict[str, Any] = {"classes": dataset.classes, "parts": dict(dataset.parts), "up": dataset.up}
    if "scaled" in dataset.provenance:  # otherwise than clouds of their source usually are
        about["scaled"] = dataset.provenance["scaled"]
    if "generator" in dataset.provenance:
        about |= {"provenance": dict(dataset.provenance), "sizes": [len(split) for split in splits]}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    if "generator" not in dataset.provenance:
        for split in splits:
            _update(digest, split)
    return digest.hexdigest()[:12]


def _update(digest: hashlib._Hash, split: PointSplit) -> None:
    digest.update(str(split.clouds.values.shape[1]).encode())
    digest.update(split.labels.astype("<i8").tobytes())
    digest.update(split.clouds.offsets.astype("<i8").tobytes())
    digest.update(np.ascontiguousarray(split.clouds.values, "<f4").data)
    if split.point_labels is not None:
        digest.update(np.ascontiguousarray(split.point_labels, "<i8").data)
