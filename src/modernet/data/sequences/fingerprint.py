"""The digest by which a run knows its sequences."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit


def sequence_fingerprint(dataset: SequenceDataset) -> str:
    """Return a short digest of a data set: classes, encoding, and the sequences of each split in order.

    Where `provenance` names a generator, it says all of the sequences, which may be too many to be read for this.
    Others count by their content, wherever they are stored.
    """
    about: dict[str, Any] = {"classes": dataset.classes, "encoding": dataset.encoding.as_json()}
    if "generator" in dataset.provenance:
        about["provenance"] = dict(dataset.provenance)
        about["sizes"] = [len(split) for split in (dataset.train, dataset.validation, dataset.test)]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    if "generator" not in dataset.provenance:
        for split in (dataset.train, dataset.validation, dataset.test):
            _update(digest, split)
    return digest.hexdigest()[:12]


def _update(digest: hashlib._Hash, split: SequenceSplit) -> None:
    digest.update(split.labels.astype("<i8").tobytes())
    for tower in split.towers:
        digest.update(json.dumps([tower.values.dtype.str, *tower.values.shape[1:]]).encode())
        digest.update(tower.offsets.astype("<i8").tobytes())
        digest.update(np.ascontiguousarray(tower.values).data)
