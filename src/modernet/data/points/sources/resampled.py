"""ModelNet as PointNet++'s authors sampled it, `modelnet40_normal_resampled`: 10,000 points with normals, as text."""

from __future__ import annotations

from pathlib import Path

from modernet.data.points.sources.assembling import Item, PointSource
from modernet.data.points.sources.folders import kept_files
from modernet.errors import InputError
from modernet.files.names import valid_text

_NAMES = ("modelnet40", "modelnet10")
_SPLITS = ("train", "test")


def is_resampled(path: Path) -> bool:
    return any((path / f"{name}_train.txt").is_file() for name in _NAMES)


def read_resampled(path: Path, points: int) -> PointSource:
    """Read `class/class_0001.txt`, as `modelnet40_train.txt`, `_test.txt` and `_shape_names.txt` list them;
    where there are none of ModelNet40, those of ModelNet10.

    The points of a file are ordered so that the first of them cover the shape evenly. They are kept in the cache
    folder: twice as many as are shown, and at least 2,048. y points up.

    Raises:
        InputError: a list is missing, or names a class that is not listed.
    """
    name = next(name for name in _NAMES if (path / f"{name}_train.txt").is_file())
    classes = tuple(_words(path / f"{name}_shape_names.txt"))
    listed = [(split, shape) for split in _SPLITS for shape in _words(path / f"{name}_{split}.txt")]
    given: dict[str, list[Item]] = {split: [] for split in _SPLITS}
    files = []
    for number, (split, shape) in enumerate(listed):
        label = shape.rpartition("_")[0]
        if label not in classes:
            raise InputError(f"{path} lists {shape}, whose class is not in {name}_shape_names.txt; add it there")
        files.append(path / label / f"{shape}.txt")
        given[split].append(Item(valid_text(str(files[-1])), label, shape, number))
    load = kept_files(path, files, points, in_order=True)
    return PointSource(
        valid_text(path.resolve().name), path, given, load, {"files": len(files)}, classes, normals=True, up=1
    )


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(errors="surrogateescape").split()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; it is part of the data") from error
