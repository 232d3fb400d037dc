#!/usr/bin/env bash
# autorank's intervals of Tukey's HSD are at 95%, whatever its alpha.
#
# Versions: autorank==1.3.0 scipy==1.17.1 statsmodels==0.15.0 pandas==3.1.1 matplotlib==3.11.2 numpy==2.4.6 (Python 3.11, CPU)
# Expected: for three models or more with normal scores, autorank(data, alpha=0.001) widens the intervals that decide which
#   models differ, "such that the family wise significance is alpha".
# Seen: statsmodels' tukeyhsd is called without alpha, so that the intervals are those of 0.05. Those of two models, and of data
#   that are not normal, do depend on alpha.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python autorank==1.3.0 scipy==1.17.1 statsmodels==0.15.0 pandas==3.1.1 matplotlib==3.11.2 \
    numpy==2.4.6
venv/bin/python - <<'PY'
import contextlib
import io

import numpy as np
import pandas as pd
from autorank import autorank
from scipy.stats import studentized_range

scores = np.random.default_rng(0).normal(size=(30, 4)) + [0, 0.1, 0.2, 0.8]
models = pd.DataFrame(scores, columns=["a", "b", "c", "d"])


def half_width(data, alpha):
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its table
        result = autorank(data, alpha=alpha)
    return result.posthoc, float(((result.rankdf.ci_upper - result.rankdf.ci_lower) / 2).iloc[0])


pooled = np.sqrt(models.var().mean() / 30)
for alpha in (0.05, 0.001):
    posthoc, width = half_width(models, alpha)
    # Half of Tukey's least significant difference: intervals that do not overlap are significant.
    expected = studentized_range.ppf(1 - alpha, 4, 4 * 29) * pooled / 2
    print(f"alpha={alpha}: half width {width:.3f} by autorank, {expected:.3f} by Tukey's method")
    assert posthoc == "tukeyhsd"
    assert (abs(width / expected - 1) < 0.01) == (alpha == 0.05)
assert half_width(models, 0.05) == half_width(models, 0.001)
two = models[["a", "d"]]
assert half_width(two, 0.001)[1] > 1.5 * half_width(two, 0.05)[1]
PY
