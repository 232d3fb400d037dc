"""open_points: a name, a file or a folder -> point clouds with a class each, or one for each point."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from modernet.data.images.finding import some_names
from modernet.data.points.dataset import PointDataset
from modernet.data.points.solids.dataset import solids_dataset
from modernet.data.points.sources.arrays import read_arrays
from modernet.data.points.sources.assembling import Options, PointSource, dataset_of
from modernet.data.points.sources.folders import has_clouds, read_folder
from modernet.data.points.sources.hdf5 import (
    is_modelnet,
    is_rooms,
    is_shapenet,
    read_modelnet,
    read_rooms,
    read_shapenet,
)
from modernet.data.points.sources.resampled import is_resampled, read_resampled
from modernet.data.skipping import Skipped
from modernet.data.splits import Fold
from modernet.errors import InputError, unknown_name

POINT_NAMES = ("solids", "solids-parts")
_KNOWN = (
    "a file .npz with points and labels, clouds or meshes (.off, .ply, .xyz, ...) in a folder for each class, and the "
    "published folders of ModelNet, ShapeNet's parts and S3DIS"
)
_TESTED_AREA = 5  # of S3DIS, as most papers have it
_OPTION = re.compile(r"fold(?P<number>\d+)of(?P<of>\d+)|area(?P<area>[1-9])|xyz|scaled|sized")


def open_points(spec: str, *, skip_unreadable: bool = False, points: int = 1024) -> PointDataset:
    """Open point clouds.

    | spec | what it is |
    |---|---|
    | `solids` | ten classes, generated |
    | `solids-parts` | five categories of objects, with a class for each point, generated |
    | `FILE.npz` | arrays `points` (n, p, channels) and `labels` (`read_arrays`) |
    | a folder of `class/*.off`, `.ply`, `.xyz`, ... | a file for each cloud or mesh (`read_folder`) |
    | a folder with `train_files.txt` | ModelNet in HDF5, `modelnet40_ply_hdf5_2048` (`read_modelnet`) |
    | a folder with `modelnet40_train.txt` | ModelNet with normals, `modelnet40_normal_resampled` (`read_resampled`) |
    | a folder with `train_hdf5_file_list.txt` | ShapeNet's parts in HDF5 (`read_shapenet`) |
    | a folder with `room_filelist.txt` | S3DIS in HDF5, `indoor3d_sem_seg_hdf5_data` (`read_rooms`) |

    Options are put after it, with a colon each: `clouds.npz:fold2of5:scaled`.

    | option | what it does |
    |---|---|
    | `foldNofK` | the test split is the Nth of K parts, equal shares of each class, by a hash of the clouds |
    | `areaN` | the area of S3DIS that is tested on; 5 |
    | `xyz` | leave out what points have besides their coordinates |
    | `scaled` | divide each cloud by its radius, as is done where units differ |
    | `sized` | clouds keep their size, divided by the median radius of all, as is done for a single file |

    Args:
        spec: see the tables.
        skip_unreadable: leave out and list what cannot be read, instead of an error.
        points: of a cloud, that a network is shown.

    Raises:
        InputError: nothing is there, it is of no known layout, or something in it cannot be used; the message says why.
    """
    if points < 1:
        raise InputError(f"points is {points}; give 1 or more")
    given, named = _options(spec)
    if given in POINT_NAMES:
        if named:
            raise InputError(f"{given} is generated and has no options; leave out :{':'.join(named)}")
        return solids_dataset(parts=given == "solids-parts", points=points)
    path = Path(given).expanduser()
    if not path.exists():
        raise _nothing(given, path)
    source = _source(path, points, _area(named))
    if source.provenance.get("area") is None and _area(named) is not None:
        raise InputError(f"{given} has no areas; leave out :area{_area(named)}")
    return dataset_of(source, _parsed(named, points), Skipped("clouds", skip_unreadable))


def _source(path: Path, points: int, area: int | None) -> PointSource:
    if path.is_file() and path.suffix.lower() == ".npz":
        return read_arrays(path)
    if path.is_dir():
        if is_modelnet(path):
            return read_modelnet(path)
        if is_shapenet(path):
            return read_shapenet(path)
        if is_rooms(path):
            return read_rooms(path, _TESTED_AREA if area is None else area)
        if is_resampled(path):
            return read_resampled(path, points)
        if has_clouds(path):
            return read_folder(path, points)
    raise InputError(f"{path} has no known layout; known are {_KNOWN}, and the names {', '.join(POINT_NAMES)}")


def _area(named: list[str]) -> int | None:
    return next((int(match["area"]) for match in map(_OPTION.fullmatch, named) if match and match["area"]), None)


def _options(spec: str) -> tuple[str, list[str]]:
    """Return a spec without its options, and them."""
    given = spec
    options: list[str] = []
    while (colon := given.rfind(":")) > 0 and _OPTION.fullmatch(given[colon + 1 :]):
        given, options = given[:colon], [given[colon + 1 :], *options]
    return given, options


def _parsed(named: list[str], points: int) -> Options:
    if {"scaled", "sized"} <= set(named):
        raise InputError("clouds are either scaled or sized; leave out one of the options")
    folds = [match for match in map(_OPTION.fullmatch, named) if match is not None and match["of"]]
    if len(folds) > 1:
        raise InputError("there is one fold to test on; leave out the other options")
    return Options(
        points,
        Fold(int(folds[0]["number"]), int(folds[0]["of"])) if folds else None,
        "xyz" in named,
        {"scaled": True, "sized": False}.get(next((name for name in named if name in ("scaled", "sized")), "")),
    )


def _nothing(spec: str, path: Path) -> InputError:
    """Return the error for a name or a path of nothing."""
    if len(path.parts) > 1:
        close = difflib.get_close_matches(path.name, some_names(path.parent), n=1)
        hint = f"did you mean {path.parent / close[0]}?" if close else f"give {_KNOWN}"
        return InputError(f"there is no file or folder {spec}; {hint}")
    return InputError(f"{unknown_name('data set of point clouds', spec, POINT_NAMES)}; nor is there a file {spec}")
