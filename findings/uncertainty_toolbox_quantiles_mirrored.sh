#!/usr/bin/env bash
# uncertainty-toolbox's quantile recalibration doubles the bias of predictions instead of removing it.
#
# Versions: uncertainty-toolbox==0.1.1 scikit-learn==1.9.1 scipy==1.17.1 matplotlib==3.11.2 numpy==2.4.6 (Python 3.11, CPU)
# Expected: get_proportion_lists(prop_type="quantile") gives "observed proportions below a predicted quantile", and with
#   get_quantile_recalibrator 90% of the targets are below the quantile of 0.9.
# Seen: residuals are prediction minus target, so that the proportions are those of the mirrored errors. Where predictions are
#   too low and 61% of the targets are below the quantile of 0.9, they say 99%; after the recalibration, 23% are. The error that
#   the library reports for it is 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python uncertainty-toolbox==0.1.1 scikit-learn==1.9.1 scipy==1.17.1 matplotlib==3.11.2 \
    numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
from uncertainty_toolbox.metrics_calibration import (
    get_proportion_lists,
    get_proportion_lists_vectorized,
    get_quantile,
    mean_absolute_calibration_error,
)
from uncertainty_toolbox.recalibration import get_quantile_recalibrator, iso_recal

rng = np.random.default_rng(0)
mean, std = rng.normal(size=2000), np.ones(2000)
target = mean + 1 + rng.normal(size=2000)  # predictions are one too low
below = np.mean(target <= get_quantile(mean, std, 0.9))
for proportions in (get_proportion_lists, get_proportion_lists_vectorized):
    expected, observed = proportions(mean, std, target, num_bins=101, prop_type="quantile")
    print(f"targets below the quantile of {expected[90]:.1f}: {below:.2f}, by {proportions.__name__} {observed[90]:.2f}")
    assert below < 0.65
    assert observed[90] > 0.98
recalibrated = np.mean(target <= get_quantile_recalibrator(mean, std, target)(mean, std, 0.9))
model = iso_recal(np.asarray(expected), np.asarray(observed))
error = mean_absolute_calibration_error(mean, std, target, recal_model=model, prop_type="quantile")
print(f"after recalibration: {recalibrated:.2f}, reported error {error:.3f}")
assert recalibrated < 0.3
assert error < 0.01
PY
