#!/usr/bin/env bash
# trimesh writes PLY files in single precision, and its other text formats in double.
#
# Versions: trimesh==5.2.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: the vertices of a Trimesh are doubles, PLY has doubles, and trimesh reads them; so a mesh is the same after export
#   and load, as it is with OBJ and OFF.
# Seen: vertices and normals of a PLY file are always "float", in binary and in ASCII. A mesh in coordinates of a map
#   projection (millions of metres) moves by up to 25 cm: a ball of two metres becomes a pile of five slices. There is no warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python trimesh==5.2.0 numpy==2.4.6
venv/bin/python -W error - <<'PY'
from pathlib import Path

import numpy as np
import trimesh

flat = trimesh.creation.icosphere(subdivisions=3)
mesh = trimesh.Trimesh(flat.vertices + [500_000, 5_400_000, 100], flat.faces, process=False)
seen = {}
for name, options in {"m.obj": {}, "m.off": {}, "binary.ply": {}, "ascii.ply": {"encoding": "ascii"}}.items():
    mesh.export(name, **options)
    read = trimesh.load(name, process=False)
    error = np.abs(read.vertices - mesh.vertices).max()
    seen[name] = (error, len(np.unique(read.vertices[:, 1].round(6))))
    print(f"{name:10} largest error {error:.1e} m, {seen[name][1]} different values of y")
for name in ("m.obj", "m.off"):
    assert seen[name][0] < 1e-6 and seen[name][1] > 50
for name in ("binary.ply", "ascii.ply"):
    assert b"property float x" in Path(name).read_bytes()
    assert seen[name][0] > 0.2 and seen[name][1] == 5
PY
