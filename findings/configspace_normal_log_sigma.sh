#!/usr/bin/env bash
# ConfigSpace takes the sigma of a log-normal hyperparameter for a factor: 1 is no spread at all, and 0.1 is as wide as 10.
#
# Versions: ConfigSpace==1.2.2 scipy==1.17.1 numpy==2.4.6 more-itertools==11.2.1 typing-extensions==4.16.0 (Python 3.11, CPU)
# Expected: Float("lr", (1e-9, 1e3), distribution=Normal(1e-3, sigma), log=True) draws learning rates whose logarithms have the
#   standard deviation sigma ("The standard deviation", "sampled on a log-scale"); in any case a larger sigma is a wider search.
# Seen: the standard deviation of the logarithm is |log(sigma)|. With sigma=1 all samples are 1e-3 to nine digits, so that the
#   search tries one value; sigma=0.1 spreads them as widely as sigma=10, and sigma=0.5 as widely as sigma=2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python ConfigSpace==1.2.2 scipy==1.17.1 numpy==2.4.6 more-itertools==11.2.1 \
    typing-extensions==4.16.0
venv/bin/python -W error - <<'PY'
import numpy as np
from ConfigSpace import Float, Normal

spread = {}
for sigma in (0.1, 0.5, 1.0, 2.0, 10.0):
    rate = Float("lr", (1e-9, 1e3), distribution=Normal(1e-3, sigma), log=True)
    logarithms = np.log(rate.sample_value(4000, seed=np.random.RandomState(0)))
    spread[sigma] = logarithms.std()
    print(f"sigma={sigma}: the logarithm of 4000 samples has the standard deviation {spread[sigma]:.3g}")
assert spread[1.0] < 1e-6
for sigma in (0.1, 0.5, 2.0, 10.0):
    assert np.isclose(spread[sigma], abs(np.log(sigma)), rtol=0.05)
PY
