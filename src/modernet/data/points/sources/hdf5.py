"""Published data in HDF5: ModelNet, ShapeNet's parts and rooms of S3DIS, as PointNet's authors prepared them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modernet.data.points.sources.assembling import SCENE, Item, PointSource
from modernet.data.points.sources.clouds import Cloud, checked
from modernet.errors import InputError, one_line
from modernet.files.names import valid_text

_MODELNET = {"train": "train_files.txt", "test": "test_files.txt"}
_SHAPENET = {
    "train": "train_hdf5_file_list.txt",
    "validation": "val_hdf5_file_list.txt",
    "test": "test_hdf5_file_list.txt",
}
_ROOMS, _BLOCKS = "room_filelist.txt", "all_files.txt"

PARTS = {
    "airplane": 4,
    "bag": 2,
    "cap": 2,
    "car": 4,
    "chair": 4,
    "earphone": 3,
    "guitar": 3,
    "knife": 2,
    "lamp": 4,
    "laptop": 2,
    "motorbike": 6,
    "mug": 2,
    "pistol": 3,
    "rocket": 3,
    "skateboard": 3,
    "table": 3,
}
"""Parts of ShapeNet's 16 categories, numbered from 0 to 49 in this order."""
ROOM_CLASSES = (
    *("ceiling", "floor", "wall", "beam", "column", "window", "door"),
    *("table", "chair", "sofa", "bookcase", "board", "clutter"),
)
"""Of S3DIS, by number."""


def is_modelnet(path: Path) -> bool:
    return (path / _MODELNET["train"]).is_file()


def is_shapenet(path: Path) -> bool:
    return (path / _SHAPENET["train"]).is_file()


def is_rooms(path: Path) -> bool:
    return (path / _ROOMS).is_file()


def read_modelnet(path: Path) -> PointSource:
    """Read `modelnet40_ply_hdf5_2048`: clouds of 2,048 points in random order, centred and scaled, with y up.

    Raises:
        InputError: a file is missing or damaged, or h5py is not installed.
    """
    classes = tuple(_lines(path / "shape_names.txt"))
    files = _Files()
    given = {split: files.items(path, name, classes) for split, name in _MODELNET.items() if (path / name).is_file()}
    return PointSource(
        valid_text(path.resolve().name), path, given, files.load, {"files": files.names}, classes, normals=False, up=1
    )


def read_shapenet(path: Path) -> PointSource:
    """Read the parts of ShapeNet, `shapenet_part_seg_hdf5_data`: 2,048 points each, 16 categories, 50 parts.

    Raises:
        InputError: a file is missing or damaged, or h5py is not installed.
    """
    files = _Files("pid")
    given = {split: files.items(path, name, tuple(PARTS)) for split, name in _SHAPENET.items()}
    ends = np.cumsum(list(PARTS.values())).tolist()
    return PointSource(
        valid_text(path.resolve().name),
        path,
        given,
        files.load,
        {"files": files.names},
        tuple(PARTS),
        tuple(f"{name} {number}" for name, n in PARTS.items() for number in range(1, n + 1)),
        {name: tuple(range(end - n, end)) for (name, n), end in zip(PARTS.items(), ends, strict=True)},
        normals=False,
        up=1,
    )


def read_rooms(path: Path, area: int) -> PointSource:
    """Read `indoor3d_sem_seg_hdf5_data`: blocks of S3DIS's rooms, 4,096 points of 9 numbers each, 13 classes of points.

    The numbers are the place in the block, in metres, the colour, and the place in the room, each as 0 to 1. They are
    used as they are. All 23,585 blocks take 4.3 GB of memory.

    Args:
        area: the building part, 1 to 6, that is tested on; a tenth of the other rooms are validated on.

    Raises:
        InputError: a file is missing or damaged, there is no such area, or h5py is not installed.
    """
    rooms = _lines(path / _ROOMS)
    files = _Files("label")
    items = files.items(path, _BLOCKS, None)
    if len(rooms) != len(items):
        raise InputError(f"{path / _ROOMS} has {len(rooms)} lines for {len(items)} blocks; download the data again")
    given: dict[str, list[Item]] = {"train": [], "test": []}
    for item, room in zip(items, rooms, strict=True):
        of = "test" if room.startswith(f"Area_{area}_") else "train"
        given[of].append(item._replace(identity=room))  # its blocks stay together
    if not given["test"]:
        raise InputError(f"{path} has no area {area}; there are {', '.join(sorted({room[:6] for room in rooms}))}")
    return PointSource(
        valid_text(path.resolve().name),
        path,
        given,
        files.load,
        {"files": files.names, "area": area},
        (SCENE,),
        ROOM_CLASSES,
        {SCENE: tuple(range(len(ROOM_CLASSES)))},
        normals=False,
        scaled=False,
        centred=False,
    )


class _Files:
    """The rows of HDF5 files with `data` (n, points, channels) and `label`.

    Args:
        of_points: name of the array of the classes of points, if they have any.
    """

    def __init__(self, of_points: str | None = None) -> None:
        self._of_points = of_points
        self._paths: list[Path] = []
        self._arrays = lru_cache(1)(self._read)  # rows are asked for file by file

    @property
    def names(self) -> list[str]:
        return [path.name for path in self._paths]

    def items(self, path: Path, listed: str, classes: Sequence[str] | None) -> list[Item]:
        """Return the rows of the files that a list names.

        Args:
            classes: of the rows; None: they have none.
        """
        found = []
        for line in _lines(path / listed):
            file = path / PurePosixPath(line).name  # of a path that begins somewhere else
            with _opened(file) as opened:
                _require(file, opened, ["data", "label", *([self._of_points] if self._of_points else [])])
                n = len(opened["data"])
                labels = [SCENE] * n if classes is None else _named(file, opened["label"][:].reshape(-1), classes)
            number = len(self._paths)
            self._paths.append(file)
            shown = valid_text(str(file))
            found += [
                Item(f"{shown}, cloud {row}", label, f"{file.name} {row}", number, row)
                for row, label in enumerate(labels)
            ]
        return found

    def load(self, item: Item) -> Cloud:
        points, labels = self._arrays(item.file)
        return checked(points[item.row], None if labels is None else labels[item.row])

    def _read(self, number: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        file = self._paths[number]
        try:
            with _opened(file) as opened:
                return opened["data"][:], opened[self._of_points][:] if self._of_points else None
        except OSError as error:
            raise InputError(f"cannot read {file}: {one_line(error)}; download it again") from error


def _opened(file: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise InputError(
            "reading HDF5 files needs h5py, which is not installed; pip install 'modernet[points]'"
        ) from None
    try:
        return h5py.File(file, "r")
    except OSError as error:
        raise InputError(f"cannot read {file}: {one_line(error)}; download it again") from error


def _require(file: Path, opened: Any, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in opened]
    if missing:
        raise InputError(f"{file} has no {' and no '.join(missing)}, but {', '.join(opened)}; download it again")


def _named(file: Path, labels: NDArray[Any], classes: Sequence[str]) -> list[str]:
    for label in (labels.min(initial=0), labels.max(initial=0)):
        if not 0 <= label < len(classes):
            raise InputError(f"{file} has the label {label}, and there are {len(classes)} classes; download it again")
    return [classes[label] for label in labels.tolist()]


def _lines(file: Path) -> list[str]:
    try:
        return [line.strip() for line in file.read_text(errors="surrogateescape").splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; it is part of the data") from error
