#!/usr/bin/env bash
# deepsig's paired bootstrap test does not pair: it resamples the scores of the two models each for itself.
#
# Versions: deepsig==1.2.8 numpy==2.4.6 scipy==1.17.1 (Python 3.11, CPU)
# Expected: "paired bootstrap test": items are drawn, and both models are compared on them. A model that is better on every one
#   of 50 items, whose difficulty varies widely, gets a p-value of about 0.
# Seen: the items of the two models are drawn independently. The p-value is above 0.3, and much the same after the scores of
#   one model are shuffled. The permutation test of the same library does pair.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python deepsig==1.2.8 numpy==2.4.6 scipy==1.17.1
venv/bin/python - <<'PY'
import numpy as np
from deepsig import bootstrap_test, permutation_test

rng = np.random.default_rng(0)
worse = rng.uniform(0, 1, size=50)
better = worse + rng.uniform(0.01, 0.03, size=50)
assert (better > worse).all()
draws = rng.integers(50, size=(1000, 50))
difference = better - worse
expected = float(np.mean(difference[draws].mean(axis=1) >= 2 * difference.mean()))
seen = bootstrap_test(better, worse, num_samples=1000, seed=0)
shuffled = bootstrap_test(better, rng.permutation(worse), num_samples=1000, seed=0)
permuted = permutation_test(better, worse, num_samples=1000, seed=0)
print(f"bootstrap_test: p={seen}, with one model shuffled {shuffled}")
print(f"a paired bootstrap: p={expected}, permutation_test: p={permuted:.4f}")
assert expected == 0 and permuted < 0.01
assert seen > 0.3 and abs(seen - shuffled) < 0.05
PY
