#!/usr/bin/env bash
# The 90% interval of uncertainty-calibration for the calibration error is one of 99.9%.
#
# Versions: uncertainty-calibration==0.1.4 scikit-learn==1.9.1 numpy==2.4.6 (Python 3.11, CPU)
# Expected: get_calibration_error_uncertainties(alpha=0.1), the default, returns the "1-alpha confidence intervals" of its
#   bootstrap; alpha=0.5 returns intervals less than half as wide.
# Seen: alpha is a percentage further down, so that 0.1 means 99.9% (of 100 resamples: the smallest and the largest) and 0.5
#   hardly differs. alpha=10 gives the interval of 90%, only 0.76 times as wide.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python uncertainty-calibration==0.1.4 scikit-learn==1.9.1 numpy==2.4.6
venv/bin/python - <<'PY'
import calibration
import numpy as np

rng = np.random.default_rng(0)
probabilities = rng.uniform(size=1000)
labels = (rng.uniform(size=1000) < probabilities**1.5).astype(int)
width = {}
for alpha in (0.1, 0.5, 10, 50):
    np.random.seed(0)  # the same resamples each time
    low, _, high = calibration.get_calibration_error_uncertainties(probabilities, labels, p=1, alpha=alpha)
    width[alpha] = high - low
    print(f"alpha={alpha}: {low:.4f} to {high:.4f}, {width[alpha] / width[0.1]:.2f} of the width at alpha=0.1")
assert width[0.5] > 0.9 * width[0.1]
assert 0.7 < width[10] / width[0.1] < 0.8
assert 0.25 < width[50] / width[0.1] < 0.35
PY
