#!/usr/bin/env bash
# pyntcloud reads the quads of a binary PLY file as triangles, whose corners are other bytes of the file from the second on.
#
# Versions: pyntcloud==0.3.1 plyfile==1.1.5 pandas==3.1.1 numpy==2.4.6 (Python 3.11, CPU)
# Expected: a face of a PLY file is a list of any length, and many modellers write quads. A cube of six quads is read as
#   such, or as twelve triangles; or it is refused.
# Seen: every face is taken to be three indices long. The first is cut, and each next one begins amid the one before: of the
#   cube's six "triangles" five have indices of millions for eight points. From ASCII, half of each quad is missing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python pyntcloud==0.3.1 plyfile==1.1.5 pandas==3.1.1 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import itertools

import numpy as np
from plyfile import PlyData, PlyElement
from pyntcloud import PyntCloud

corners = np.array(list(itertools.product((0, 1), repeat=3)), "f4")
points = np.array([tuple(corner) for corner in corners], [(axis, "f4") for axis in "xyz"])
quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
faces = np.empty(len(quads), [("vertex_indices", "O")])
faces["vertex_indices"] = [np.array(quad, "i4") for quad in quads]
for text in (True, False):
    elements = [PlyElement.describe(points, "vertex"), PlyElement.describe(faces, "face")]
    PlyData(elements, text=text).write("cube.ply")
    assert [list(face) for face in PlyData.read("cube.ply")["face"]["vertex_indices"]] == quads
    cube = PyntCloud.from_file("cube.ply")
    triangles = cube.mesh[["v1", "v2", "v3"]].to_numpy()
    valid = int((triangles < len(points)).all(1).sum())
    print(f"{'ASCII' if text else 'binary'}: {len(triangles)} triangles of 12, {valid} with valid indices: {triangles.tolist()}")
    assert (cube.xyz == corners).all()
    assert len(triangles) == 6
    assert triangles[0].tolist() == [0, 1, 3]
    assert valid == (6 if text else 1)
PY
