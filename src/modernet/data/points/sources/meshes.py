"""Meshes and clouds in files that trimesh reads: .off, .ply, .obj, .stl."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from modernet.data.points.sources.clouds import Cloud, UnreadableCloud, checked
from modernet.data.points.surfaces import areas, on_triangles
from modernet.errors import InputError, one_line

MESH_SUFFIXES = frozenset({".off", ".ply", ".obj", ".stl"})
_BESIDES = (("nx", "ny", "nz"), ("red", "green", "blue"))  # properties of the points of a .ply, besides x, y and z
_COUNTS = re.compile(rb"C?OFF(?:\s|#[^\n]*\n)*\d+\s+(\d+)")  # of corners and faces
_HEADER_BYTES = 1000
_RELATIVE = re.compile(rb"^\s*f\s.*-\d", re.MULTILINE)  # a face of an .obj with an index that counts back


def read_mesh(path: Path, n: int) -> Cloud:
    """Read the points of a file; of a mesh, draw n of them from its faces by area, seeded by the name of the file.

    Of the points of a .ply, normals and colours are read too, colours as 0 to 1, and the property `label` as their
    classes.

    Raises:
        UnreadableCloud: it cannot be read, or has faces without area.
        InputError: trimesh is not installed.
    """
    loaded = _loaded(path)
    faces = getattr(loaded, "faces", None)
    if faces is None:
        return _points(loaded)
    vertices, faces = np.asarray(loaded.vertices, dtype=np.float64), np.asarray(faces)
    checked(vertices)
    if not len(faces):
        raise UnreadableCloud("has no faces")
    stated = _stated_faces(path)
    if len(faces) < stated:  # trimesh reads what there is
        raise UnreadableCloud(f"is truncated: it has {len(faces)} of {stated} faces")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise UnreadableCloud(f"has faces of a corner {faces.max()}, and {len(vertices)} corners")
    triangles = vertices[faces]
    if not areas(triangles).sum() > 0:
        raise UnreadableCloud("has faces without area")
    seed = int.from_bytes(hashlib.sha256(path.name.encode(errors="surrogateescape")).digest()[:8])
    return checked(on_triangles(triangles, n, np.random.default_rng(seed))[0])


def _loaded(path: Path) -> Any:
    try:
        import trimesh
    except ImportError:
        raise InputError(
            f"reading {path.suffix} files needs trimesh, which is not installed; pip install 'modernet[points]'"
        ) from None
    try:
        text = path.read_bytes() if path.suffix.lower() == ".obj" else b""
        if _RELATIVE.search(text):  # which trimesh would count from the end of the file
            loaded = trimesh.load(io.BytesIO(_absolute(text)), file_type="obj", process=False)
        else:
            loaded = trimesh.load(path, process=False)
        return loaded.to_mesh() if isinstance(loaded, trimesh.Scene) else loaded
    except Exception as error:  # its parsers raise whatever a broken file leads to
        raise UnreadableCloud(f"cannot be read ({one_line(error, with_type=True)})") from error


def _absolute(text: bytes) -> bytes:
    """Return an .obj whose faces count their corners, texture coordinates and normals from the start of the file.

    Negative indices of a face count back from its own line.
    """
    counts = dict.fromkeys((b"v", b"vt", b"vn"), 0)
    lines = []
    for line in text.splitlines():
        kind, *corners = line.split() or [b""]
        if kind in counts:
            counts[kind] += 1
        elif kind == b"f":
            line = b" ".join([kind, *(_counted_from_start(corner, tuple(counts.values())) for corner in corners)])
        lines.append(line)
    return b"\n".join(lines)


def _counted_from_start(corner: bytes, counts: tuple[int, ...]) -> bytes:
    """Return `7/9/3` of `-1/-2/3`, by how many there are of each so far."""
    parts = [
        str(count + 1 + int(index)).encode() if index.startswith(b"-") else index
        for index, count in zip(corner.split(b"/"), counts, strict=False)
    ]
    return b"/".join(parts)


def _stated_faces(path: Path) -> int:
    """Return how many faces the header of an .off promises, of three corners or more; 0 where it does not say."""
    if path.suffix.lower() != ".off":
        return 0
    with path.open("rb") as file:
        counts = _COUNTS.match(file.read(_HEADER_BYTES))
    return int(counts[1]) if counts else 0


def _points(loaded: Any) -> Cloud:
    raw = loaded.metadata.get("_ply_raw")
    if raw is None:
        return checked(np.asarray(loaded.vertices))
    columns = raw["vertex"]["data"]
    names = columns.dtype.names if isinstance(columns, np.ndarray) else tuple(columns)
    values = {name: np.asarray(columns[name]).reshape(-1) for name in names}  # of text they are (n, 1)
    points = [values[name].astype(np.float64) for name in "xyz"]
    for group in _BESIDES:
        if set(group) <= set(names):
            largest = 255 if values[group[0]].dtype == np.uint8 else 1
            points += [values[name].astype(np.float64) / largest for name in group]
    labels = values.get("label")
    return checked(np.stack(points, 1), labels)
