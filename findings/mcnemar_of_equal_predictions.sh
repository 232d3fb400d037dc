#!/usr/bin/env bash
# McNemar's test says that a model differs from itself, with p = 0: mlxtend by default, statsmodels with exact=False.
#
# Versions: mlxtend==0.25.0 statsmodels==0.15.0 scipy==1.17.1 pandas==3.1.1 numpy==2.4.6 (Python 3.11, CPU)
# Expected: two models with the same predictions (no discordant image) have p = 1, or NaN, and nothing is rejected. Where
#   each wins on one image p is 1 as well: the correction for continuity makes a test more careful.
# Seen: the correction is (|b - c| - 1)^2 / (b + c), not cut off at 0: 1 / 0 for equal models, an infinite statistic. One
#   win each gives p = 0.48, less than 1 to 0, where p is 1. exact=True is right in all cases.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python mlxtend==0.25.0 statsmodels==0.15.0 scipy==1.17.1 pandas==3.1.1 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import numpy as np
from mlxtend.evaluate import mcnemar, mcnemar_table
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

labels = np.zeros(100, int)
model = labels.copy()
model[:10] = 1  # ten mistakes
better, other = model.copy(), model.copy()
better[0] = 0
other[0], other[99] = 0, 1
for name, rival, approximate in (("itself", model, 0), ("one win to none", better, 1), ("one win each", other, 0.4795)):
    table = mcnemar_table(labels, model, rival)
    exact = float(mcnemar(table, exact=True)[1]), float(statsmodels_mcnemar(table).pvalue)
    seen = round(float(mcnemar(table)[1]), 4), round(float(statsmodels_mcnemar(table, exact=False).pvalue), 4)
    print(f"{name}: p by mlxtend {seen[0]}, by statsmodels {seen[1]}; exact {exact[0]}")
    assert exact == (1, 1)
    assert seen == (approximate, approximate)
PY
