#!/usr/bin/env bash
# meshio reads relative indices of an OBJ file one vertex too early.
#
# Versions: meshio==5.3.5 numpy==2.4.6 (Python 3.11, CPU)
# Expected: a negative index of a face counts back from the last vertex above it: `f -3 -2 -1` is the triangle of the
#   last three.
# Seen: meshio subtracts 1 from negative indices as it does from positive ones: -1 becomes -2, the vertex before the
#   last. The face connects other vertices than the file says, and has another area. Nothing is reported.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python meshio==5.3.5 numpy==2.4.6
venv/bin/python - <<'PY'
from pathlib import Path

import meshio
import numpy as np


def read(face):
    vertices = [(5, 5, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0)]
    Path("mesh.obj").write_text("".join(f"v {x} {y} {z}\n" for x, y, z in vertices) + f"f {face}\n")
    mesh = meshio.read("mesh.obj")
    a, b, c = mesh.points[mesh.cells[0].data[0]]
    return mesh.cells[0].data[0].tolist(), float(np.linalg.norm(np.cross(b - a, c - a)) / 2)


absolute, relative = read("2 3 4"), read("-3 -2 -1")
print(f"f 2 3 4: vertices {absolute[0]}, area {absolute[1]}; f -3 -2 -1: vertices {relative[0]}, area {relative[1]}")
assert absolute == ([1, 2, 3], 0.5)
assert [index % 4 for index in relative[0]] == [0, 1, 2]
assert relative[1] == 2.5
PY
