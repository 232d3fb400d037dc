#!/usr/bin/env bash
# miseval's distances between masks are others than their names say: the Hausdorff distance of a mask moved down is 0.
#
# Versions: miseval==1.3.0 hausdorff==0.2.6 numpy==2.3.5 (Python 3.11, CPU)
# Expected: the Hausdorff distance ("HD") of two equal squares, one of them moved by 20 pixels, is 20; the average Hausdorff
#   distance ("AHD", recommended by the README) is a mean, so that one stray pixel matters little; each distance between a
#   mask and itself is 0.
# Seen: HD gives the two images to a function that takes lists of points, so each row of pixels counts as a point. It is 0 for
#   the square moved down by 20, and the root of 20 for the one moved to the right. AHD is the largest distance, which is
#   the Hausdorff distance. The boundary distance ("BD") is the mean over all pairs of contour points, 15 for a square of 20
#   pixels and itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python miseval==1.3.0 hausdorff==0.2.6 numpy==2.3.5
venv/bin/python -W ignore - <<'PY'
import numpy as np
from miseval import evaluate


def square(top, left):
    mask = np.zeros((64, 64), int)
    mask[top : top + 20, left : left + 20] = 1
    return mask


still, down, right, stray = square(10, 10), square(30, 10), square(10, 30), square(10, 10)
stray[60, 60] = 1
for name, mask in {"itself": still, "moved down": down, "moved right": right, "one stray pixel": stray}.items():
    print(f"{name:15}", {metric: round(float(evaluate(still, mask, metric=metric)), 2) for metric in ("HD", "AHD", "BD")})
assert evaluate(still, down, metric="HD") == 0
assert np.isclose(evaluate(still, right, metric="HD"), 20**0.5)
assert evaluate(still, down, metric="AHD") == evaluate(still, right, metric="AHD") == 20
assert np.isclose(evaluate(still, stray, metric="AHD"), 31 * 2**0.5)
assert evaluate(still, still, metric="BD") > 10
PY
