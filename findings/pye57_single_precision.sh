#!/usr/bin/env bash
# pye57 writes coordinates in single precision, and reads them in double.
#
# Versions: pye57==0.4.19 numpy==2.4.6 (Python 3.11, CPU)
# Expected: E57 has floats of both precisions, and scaled integers. write_scan_raw takes doubles, and read_scan returns doubles
#   (in coordinates of the world, its default), so a scan that is read and written is the same.
# Seen: the file has single precision, whatever is given. Coordinates of a map projection (millions of metres) move by up to
#   25 cm, and points that are 10 cm apart fall together; there is no option and no warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python pye57==0.4.19 numpy==2.4.6
venv/bin/python -W error - <<'PY'
import numpy as np
from pye57 import E57

steps = np.arange(20) / 10
points = {"cartesianX": 500_000 + steps, "cartesianY": 5_400_000 + steps, "cartesianZ": 100 + steps}
with E57("scan.e57", mode="w") as file:
    file.write_scan_raw(points)
with E57("scan.e57") as file:
    read = file.read_scan(0, ignore_missing_fields=True)
for axis, values in points.items():
    assert read[axis].dtype == values.dtype == np.float64
    error, left = np.abs(read[axis] - values).max(), len(np.unique(read[axis]))
    print(f"{axis}: moved by up to {error:.4f} m, {left} of {len(values)} values are left")
assert np.array_equal(read["cartesianY"], points["cartesianY"].astype(np.float32))
assert len(np.unique(read["cartesianY"])) == 5
PY
