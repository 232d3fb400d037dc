#!/usr/bin/env bash
# MLstatkit's DeLong test finds that temperature scaling changes the AUC, with z = 0 and p = 0.
#
# Versions: mlstatkit==0.1.91 scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6 (Python 3.11, CPU)
# Expected: scores before and after temperature scaling have the same order and the same AUC: p = 1, or NaN.
# Seen: where the variance of the difference is 0, a bootstrap takes over, and gives twice the smaller of the shares of
#   differences "<= 0" and "> 0": of differences that are all 0, twice 0. A model differs from itself as well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python mlstatkit==0.1.91 scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
from MLstatkit import Delong_test

rng = np.random.default_rng(0)
labels = np.arange(100) % 2
logits = rng.normal(size=100) + labels
rivals = {"itself": logits, "temperature 2": logits / 2, "a little noise": logits + 0.1 * rng.normal(size=100)}
p_values = {}
for name, rival in rivals.items():
    first, second = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(-rival))
    z, p, auc, other = Delong_test(labels, first, second, return_ci=False, n_boot=200, random_state=0)
    print(f"against {name}: AUC {auc:.4f} and {other:.4f}, z {z:.2f}, p {p:.3f}")
    p_values[name] = p
    assert (auc == other) == (name != "a little noise")
assert p_values["itself"] == p_values["temperature 2"] == 0
assert p_values["a little noise"] > 0.1
PY
