#!/usr/bin/env bash
# autorank compares two models by a one-sided Wilcoxon test in the direction that the data show: half the p-value.
#
# Versions: autorank==1.3.0 scipy==1.17.1 statsmodels==0.15.0 pandas==3.1.1 matplotlib==3.11.2 numpy==2.4.6 (Python 3.11, CPU)
# Expected: autorank(data) of two columns that are not normal gives the p-value of Wilcoxon's signed rank test for "no
#   difference", two-sided like the t-test that it takes for normal data.
# Seen: the column of the larger median is tested to be greater, with scipy's alternative="greater". p is half of what it
#   should be; at alpha=0.05, models that do not differ are found to differ up to twice as often.
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
from scipy.stats import ttest_rel, wilcoxon


def compare(data, **options):
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its table
        return autorank(data, **options)


rng = np.random.default_rng(0)
p, data = 1.0, None
while not 0.05 < p < 0.1:  # errors of two equal models on 20 datasets, until they look a little different
    data = pd.DataFrame(rng.exponential(size=(20, 2)), columns=["one", "other"])
    p = wilcoxon(data.one, data.other).pvalue
result = compare(data, alpha=0.05)
print(f"{result.omnibus} of autorank: p {result.pvalue:.4f}, two-sided {p:.4f}")
assert result.omnibus == "wilcoxon"
assert np.isclose(result.pvalue, p / 2)
assert result.pvalue < 0.05 < p
turned = compare(data[["other", "one"]], alpha=0.05)  # as significant in the other direction
assert turned.pvalue == result.pvalue
parametric, p = compare(data, alpha=0.05, force_mode="parametric"), ttest_rel(data.one, data.other).pvalue
print(f"{parametric.omnibus} of autorank: p {parametric.pvalue:.4f}, two-sided {p:.4f}")
assert np.isclose(parametric.pvalue, p)
PY
