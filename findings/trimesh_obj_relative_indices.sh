#!/usr/bin/env bash
# trimesh counts the relative indices of an OBJ file from the end of the file.
#
# Versions: trimesh==5.2.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: -1 is the last vertex above the line of the face (specification), so that parts can be written one after the
#   other, or pasted together. A file with two triangles is the same with relative and with absolute indices.
# Seen: -1 is the last vertex of the whole file for all faces. Both triangles are the second one, and the vertices of the first
#   are dropped: of a model with many parts the last remains, as often as there are parts. There is no warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python trimesh==5.2.0 numpy==2.4.6
venv/bin/python -W error - <<'PY'
from pathlib import Path

import trimesh

parts = ["v 0 0 0\nv 1 0 0\nv 0 1 0\n", "v 5 0 0\nv 9 0 0\nv 5 2 0\n"]
faces = {"absolute": ["f 1 2 3\n", "f 4 5 6\n"], "relative": ["f -3 -2 -1\n"] * 2}
areas = {}
for kind, lines in faces.items():
    Path("m.obj").write_text("".join(part + line for part, line in zip(parts, lines)))
    mesh = trimesh.load("m.obj", process=False)
    areas[kind] = mesh.area_faces.tolist()
    print(f"{kind}: {len(mesh.vertices)} vertices, areas {areas[kind]}, x of the corners {mesh.triangles[:, :, 0].tolist()}")
assert areas == {"absolute": [0.5, 4.0], "relative": [4.0, 4.0]}
PY
