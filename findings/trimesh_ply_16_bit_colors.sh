#!/usr/bin/env bash
# trimesh keeps the lower byte of 16-bit colours of a PLY file.
#
# Versions: trimesh==5.2.0 plyfile==1.1.5 numpy==2.4.6 (Python 3.11, CPU)
# Expected: colours of type ushort have white at 65535, so half of it becomes 128 of the 255 that trimesh keeps, as it does
#   with colours of type float, which trimesh scales from 1.0 to 255.
# Seen: colours are taken modulo 256. 257 is (rightly) 1 and 65535 is 255, but 32768 and 256 are 0: dark grey is black,
#   half grey too, and a smooth ramp becomes 256 stripes. Meshes and point clouds are read without a warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python trimesh==5.2.0 plyfile==1.1.5 numpy==2.4.6
venv/bin/python -W error - <<'PY'
import numpy as np
import trimesh
from plyfile import PlyData, PlyElement

grey = np.array([0, 256, 16384, 32768, 49151, 65535])


def read(kind, values):
    points = np.zeros(len(values), [(axis, "f4") for axis in "xyz"] + [(color, kind) for color in ("red", "green", "blue")])
    points["x"] = np.arange(len(values))
    for color in ("red", "green", "blue"):
        points[color] = values
    PlyData([PlyElement.describe(points, "vertex")]).write("cloud.ply")
    return trimesh.load("cloud.ply").colors[:, 0].tolist()


short, single = read("u2", grey), read("f4", grey / 65535)
print("16-bit greys", grey.tolist(), "as ushort:", short, "as float:", single)
assert single == [0, 1, 64, 128, 191, 255]
assert short == (grey % 256).tolist() == [0, 0, 0, 0, 255, 255]
PY
