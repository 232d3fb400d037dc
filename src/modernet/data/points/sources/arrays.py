"""One .npz file with all clouds, each of as many points."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modernet.data.points.sources.assembling import SCENE, Item, PointSource
from modernet.data.points.sources.clouds import MOST_CLASSES, Cloud, checked
from modernet.data.sources.assemble import classes_of
from modernet.errors import InputError, one_line
from modernet.files.fingerprint import file_sha256
from modernet.files.names import valid_text

BROKEN_ARRAY = OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, tokenize.TokenError, MemoryError
"""What numpy raises for a file of arrays that is damaged, by what is damaged."""
_WANTED = "points (n, p, 3 or more) and labels (n,), or (n, p) for a class of each point"


def read_arrays(path: Path) -> PointSource:
    """Read a file with `points`, numbers (n, p, channels), and `labels`: (n,), the class of each cloud, as a number or
    a name; or (n, p), the class of each point, then perhaps with `categories` (n,), that of each shape.

    `names`, if there are, are those of the numbered classes. What else it has is not used. Since the clouds of one file
    have one unit, they keep their size.

    Raises:
        InputError: it cannot be read, or its arrays are others.
    """
    arrays = _arrays(path)
    points, labels = arrays["points"], arrays["labels"]
    if points.ndim != 3 or labels.shape not in (points.shape[:1], points.shape[:2]):
        raise InputError(f"{path} has points {points.shape} and labels {labels.shape}; it must have {_WANTED}")
    if not len(points):
        raise InputError(f"{path} has no clouds; it must have {_WANTED}")
    names = tuple(str(name) for name in arrays["names"]) if "names" in arrays else None
    of_points = labels.ndim == 2
    of_clouds = arrays.get("categories", np.full(len(points), SCENE)) if of_points else labels
    if of_clouds.shape != points.shape[:1]:
        raise InputError(f"{path} has categories {of_clouds.shape} of {len(points)} clouds; give one of each")
    known, named = _named(path, of_clouds, None if of_points else names)
    file = valid_text(str(path))
    items = [
        Item(f"{file}, cloud {row}", label, sha256(points[row].tobytes()).hexdigest(), 0, row)
        for row, label in enumerate(named)
    ]

    def load(item: Item) -> Cloud:
        return checked(points[item.row], labels[item.row] if of_points else None)

    return PointSource(
        valid_text(path.stem),
        path,
        {"train": items},
        load,
        {"files": {valid_text(path.name): file_sha256(path)}},
        known,
        names if of_points else None,
        scaled=False,
    )


def _arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except BROKEN_ARRAY as error:
        raise InputError(
            f"cannot read {path}: {one_line(error)}; it must have {_WANTED}, without Python objects"
        ) from error
    missing = [name for name in ("points", "labels") if name not in arrays]
    if missing:
        found = ", ".join(arrays) or "nothing"
        raise InputError(f"{path} has no {' and no '.join(missing)}, but {found}; it must have {_WANTED}")
    return arrays


def _named(path: Path, labels: NDArray[Any], names: tuple[str, ...] | None) -> tuple[tuple[str, ...], list[str]]:
    """Return the classes, and the name of that of each cloud."""
    if not np.issubdtype(labels.dtype, np.integer):
        texts = [str(label) for label in labels.tolist()]
        return names or classes_of(texts), texts
    strange = (labels < 0) | (labels >= MOST_CLASSES)
    if strange.any():
        row = strange.argmax()
        raise InputError(
            f"{path}, cloud {row} has the label {labels[row]}; number classes from 0, below {MOST_CLASSES:,}, or give "
            "their names as labels"
        )
    known = names or classes_of(labels.tolist())
    beyond = labels >= len(known)
    if beyond.any():
        row = beyond.argmax()
        raise InputError(
            f"{path}, cloud {row} has the label {labels[row]}; there are {len(known)} classes, 0 ({known[0]}) to "
            f"{len(known) - 1} ({known[-1]})"
        )
    return known, [known[label] for label in labels.tolist()]
