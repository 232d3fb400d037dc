#!/usr/bin/env bash
# pye57 writes bounds whose minimum is above their maximum, and which leave points out, for scans with a pose.
#
# Versions: pye57==0.4.19 numpy==2.4.6 (Python 3.11, CPU)
# Expected: the cartesianBounds of an E57 scan enclose its points, in the scan's own coordinates (libE57: "in the local
#   coordinate system of the points").
# Seen: two corners of the box, (xmin, ymin, zmin) and (xmax, ymax, zmax), are moved and turned by the pose and written as
#   minimum and maximum. A scanner that is turned by 90 degrees has xMinimum > xMaximum; by 45 degrees, the box has no width.
#   So the bounds fit the points in neither coordinate system.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python pye57==0.4.19 numpy==2.4.6
venv/bin/python -W error - <<'PY'
import numpy as np
from pye57 import E57

corners = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [4, 4, 2]], float)
points = dict(zip(("cartesianX", "cartesianY", "cartesianZ"), corners.T))
seen = {}
for degrees in (0, 45, 90):
    half = np.radians(degrees) / 2
    with E57("scan.e57", mode="w") as file:
        file.write_scan_raw(points, rotation=np.array([np.cos(half), 0, 0, np.sin(half)]), translation=np.array([100, 0, 0]))
    with E57("scan.e57") as file:
        header, world = file.get_header(0), file.read_scan(0, ignore_missing_fields=True)["cartesianX"]
        low, high = seen[degrees] = (header.xMinimum, header.xMaximum)
    print(f"{degrees:2} degrees: x is 0 to 4, in the world {world.min():.2f} to {world.max():.2f}; bounds {low:.2f} to {high:.2f}")
assert np.allclose(seen[0], [100, 104])
assert np.allclose(seen[45], [100, 100])
assert np.allclose(seen[90], [100, 96])
PY
