#!/usr/bin/env bash
# pymia finds an error of 255 between two 8-bit images that differ by 1.
#
# Versions: pymia==0.3.4 simpleitk==2.5.3 scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6 (Python 3.11, CPU)
# Expected: the mean absolute error of two images of uint8 whose pixels differ by 1 is 1, and their root mean squared error 1.
# Seen: differences wrap around: reference 100 and prediction 101 are 255 apart, 101 and 100 are 1 apart. Squares wrap as well:
#   pixels that differ by 16 have a mean squared error of 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python --no-deps pymia==0.3.4
uv pip install -q --python venv/bin/python simpleitk==2.5.3 scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
from pymia.evaluation.metric import MeanAbsoluteError, MeanSquaredError


def error(metric, reference, prediction, dtype):
    metric.reference = np.full((8, 8), reference, dtype)
    metric.prediction = np.full((8, 8), prediction, dtype)
    return float(metric.calculate())


for metric, reference, prediction, expected, seen in (
    (MeanAbsoluteError(), 101, 100, 1, 1),
    (MeanAbsoluteError(), 100, 101, 1, 255),
    (MeanSquaredError(), 116, 100, 256, 0),
):
    by_bytes, by_floats = (error(metric, reference, prediction, dtype) for dtype in (np.uint8, np.float64))
    print(f"{metric.metric} of {reference} and {prediction}: {by_bytes} as uint8, {by_floats} as float64")
    assert (by_bytes, by_floats) == (seen, expected)
PY
