#!/usr/bin/env bash
# laspy moves points that are appended to a file of another offset or scale.
#
# Versions: laspy==2.7.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: append_points asks for the same point format, and nothing else. write_points, its sister, puts points of another
#   offset or scale where they belong ("automatically re-scaled"): points know theirs.
# Seen: append_points copies the integers of the file. Each tile of a survey has an offset of its own, so all appended tiles
#   lie on top of the first; with another scale they grow or shrink, too. The bounds in the header agree with the wrong
#   points, and nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python laspy==2.7.0 numpy==2.4.6
venv/bin/python -W error - <<'PY'
import laspy
import numpy as np


def save(path, offset, scale, x):
    header = laspy.LasHeader(point_format=3, version="1.2")
    header.offsets, header.scales = [offset, 0, 0], [scale] * 3
    tile = laspy.LasData(header)
    tile.x, tile.y, tile.z = np.array(x), np.zeros(2), np.zeros(2)
    tile.write(path)
    return laspy.read(path)


first = save("first.las", 1000, 0.001, [1001.5, 1002.25])
second = save("second.las", 2000, 0.01, [2001.5, 2002.25])
with laspy.open("written.las", mode="w", header=first.header) as file:
    file.write_points(first.points)
    file.write_points(second.points)
with laspy.open("first.las", mode="a") as file:
    file.append_points(second.points)
written, appended = laspy.read("written.las"), laspy.read("first.las")
print("x by write_points: ", np.array(written.x).tolist())
print("x by append_points:", np.array(appended.x).tolist(), "largest x of the header:", float(appended.header.x_max))
assert np.allclose(written.x, [1001.5, 1002.25, 2001.5, 2002.25])
assert np.allclose(appended.x, [1001.5, 1002.25, 1000.15, 1000.225])
assert np.isclose(appended.header.x_max, 1002.25)
PY
