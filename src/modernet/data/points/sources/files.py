"""A file with one cloud or one mesh, of any format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modernet.data.points.sources.arrays import BROKEN_ARRAY
from modernet.data.points.sources.clouds import Cloud, UnreadableCloud, checked, shuffled_once
from modernet.data.points.sources.meshes import MESH_SUFFIXES, read_mesh
from modernet.data.points.sources.text import TEXT_SUFFIXES, read_text
from modernet.errors import one_line

CLOUD_SUFFIXES = frozenset({".npy", ".npz"}) | TEXT_SUFFIXES | MESH_SUFFIXES


def is_cloud(path: Path) -> bool:
    return path.suffix.lower() in CLOUD_SUFFIXES


def kept_points(shown: int) -> int:
    """Return how many points of a file are kept, or drawn from a mesh, for a network that is shown some of them."""
    return max(2048, 2 * shown)


def read_file(path: Path, most: int, *, in_order: bool = False) -> Cloud:
    """Return at most so many points of a file, in an order that is as good as random.

    Args:
        in_order: return its first points, since they are in such an order already.

    Raises:
        UnreadableCloud: it cannot be used.
        InputError: a package is missing.
    """
    if in_order:
        return read_text(path, most)
    cloud = read_whole(path, most)
    return cloud.in_order(shuffled_once(len(cloud.points))[:most])


def read_whole(path: Path, drawn: int) -> Cloud:
    """Return the points of a file as they are, or so many that are drawn from a mesh.

    Raises:
        UnreadableCloud: it cannot be used.
        InputError: a package is missing.
    """
    suffix = path.suffix.lower()
    if suffix in MESH_SUFFIXES:
        return read_mesh(path, drawn)
    if suffix in TEXT_SUFFIXES:
        return read_text(path)
    return _read_array(path)


def _read_array(path: Path) -> Cloud:
    """Read an array (n, 3 or more); of an .npz its only one, or `points`, perhaps with `labels` (n,)."""
    try:
        loaded = np.load(path)
        if isinstance(loaded, np.ndarray):
            return checked(loaded)
        with loaded:
            names = loaded.files
            name = names[0] if len(names) == 1 else "points"
            if name not in names:
                raise UnreadableCloud(f"has the arrays {', '.join(names) or 'none'}, and no points")
            return checked(loaded[name], loaded["labels"] if "labels" in names else None)
    except BROKEN_ARRAY as error:
        raise UnreadableCloud(f"cannot be read ({one_line(error)})") from error
