#!/usr/bin/env bash
# bbox-utils moves a 3D box that is given by two corners, by up to half a unit on each axis.
#
# Versions: bbox-utils==0.1.1 numpy==2.4.6 pyquaternion==0.9.9 (Python 3.11, CPU)
# Expected: BoundingBox3D.from_xyzxyz(a, b) is the box with the corners a and b.
# Seen: half of each side is rounded down to a whole number before it is added, so that the centre is too near to the first
#   corner. In metres, a pedestrian of 0.6 x 0.6 x 1.8 has the centre on its corner, and the box is off by half its width.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python bbox-utils==0.1.1 numpy==2.4.6 pyquaternion==0.9.9
venv/bin/python - <<'PY'
import numpy as np
from bbox_utils import BoundingBox3D

for low, high, whole in (
    ([10.0, 5.0, 0.0], [10.6, 5.6, 1.8], False),
    ([10.0, 5.0, 0.0], [14.0, 7.0, 2.0], True),
):
    low, high = np.array(low), np.array(high)
    box = BoundingBox3D.from_xyzxyz(low, high)
    middle = (low + high) / 2
    print(f"corners {low.tolist()} and {high.tolist()}: centre {np.asarray(box.center).tolist()}, expected {middle.tolist()}")
    assert np.allclose([box.length, box.width, box.height], high - low)
    assert np.allclose(box.center, middle) == whole
    if not whole:
        assert np.allclose(box.center, low)
PY
