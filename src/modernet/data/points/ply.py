"""Point clouds with a colour for each point, as a file that any viewer opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modernet.files.atomic import whole_file

_TYPES = {"<f4": "float", "<f8": "double", "|u1": "uchar", "<i4": "int"}


def write_ply(
    path: Path,
    points: NDArray[np.float32],
    colours: NDArray[np.uint8] | None = None,
    labels: NDArray[np.int64] | None = None,
    origin: NDArray[np.float64] | None = None,
) -> None:
    """Write a cloud in binary, little endian; the file is there completely or not at all.

    Args:
        points: float32 (n, 3), or more channels, of which x, y and z are written.
        colours: uint8 (n, 3), red, green and blue.
        labels: int64 (n,), the class of each point, as the property `label`, which `open_points` reads.
        origin: float64 (3,), is added to x, y and z, which are written in double precision then.

    Raises:
        OSError: the file cannot be written.
    """
    xyz = points[:, :3].astype("<f4") if origin is None else (points[:, :3] + origin).astype("<f8")
    columns: dict[str, NDArray[Any]] = {name: xyz[:, axis] for axis, name in enumerate("xyz")}
    if colours is not None:
        columns |= {name: colours[:, channel].astype("u1") for channel, name in enumerate(("red", "green", "blue"))}
    if labels is not None:
        columns["label"] = labels.astype("<i4")
    dtype = np.dtype([(name, values.dtype) for name, values in columns.items()])
    rows = np.empty(len(points), dtype)
    for name, values in columns.items():
        rows[name] = values
    properties = "".join(f"property {_TYPES[values.dtype.str]} {name}\n" for name, values in columns.items())
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{properties}end_header\n"
    with whole_file(path) as unfinished:
        unfinished.write_bytes(header.encode() + rows.tobytes())
