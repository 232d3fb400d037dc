#!/usr/bin/env bash
# torch_geometric's read_off leaves out polygons of more than four corners.
#
# Versions: torch-geometric==2.8.1 torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: an OFF file may hold any polygon. A prism over a hexagon (two hexagons, six rectangles) becomes 4 + 4 + 12
#   triangles, whose area is that of the prism; or read_off refuses what it can not divide.
# Seen: rectangles are divided, hexagons are dropped: 12 triangles, a tube without its ends, half of its area. No point is
#   sampled there. A dodecahedron has no face at all. There is no warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch-geometric==2.8.1 torch==2.15.0 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import math
from pathlib import Path

import torch
from torch_geometric.io import read_off


def prism(corners):
    angles = [2 * math.pi * i / corners for i in range(corners)]
    ring = [(math.cos(angle), math.sin(angle)) for angle in angles]
    points = [(x, y, z) for z in (0, 1) for x, y in ring]
    faces = [list(range(corners))[::-1], list(range(corners, 2 * corners))]
    faces += [[i, (i + 1) % corners, (i + 1) % corners + corners, i + corners] for i in range(corners)]
    lines = ["OFF", f"{len(points)} {len(faces)} 0"]
    lines += [" ".join(map(str, point)) for point in points]
    lines += [" ".join(map(str, [len(face), *face])) for face in faces]
    Path("prism.off").write_text("\n".join(lines) + "\n")
    area = corners * math.sin(2 * math.pi / corners) + corners * 2 * math.sin(math.pi / corners)
    mesh = read_off("prism.off")
    a, b, c = (mesh.pos[index] for index in mesh.face)
    read = float(torch.linalg.cross(b - a, c - a).norm(dim=1).sum() / 2)
    return mesh.face.shape[1], round(read / area, 3)


for corners, triangles, share in ((3, 8, 1), (4, 12, 1), (5, 10, 0.553), (6, 12, 0.536)):
    seen = prism(corners)
    print(f"prism over {corners} corners: {seen[0]} triangles of {4 * corners - 4}, {seen[1]:.0%} of the area")
    assert seen == (triangles, share)
PY
