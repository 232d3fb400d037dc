#!/usr/bin/env bash
# confidenceinterval's interval of macro F1 is three times too wide for 2 classes, and less than half as wide as it should be for 100.
#
# Versions: confidenceinterval==1.0.5 scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.15.0 pandas==3.1.1 numpy==2.4.6
#   (Python 3.11, CPU)
# Expected: f1_score(average="macro") with its default method "takahashi" and with "bootstrap_percentile" give intervals of
#   about the same width. A classifier without an error has an interval of width 0, below 1.
# Seen: the variance has a sum where the formula of the paper has a product, and does not vanish: 1 / (classes * images)
#   remains for a perfect classifier, whose interval ends above 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python confidenceinterval==1.0.5 scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.15.0 \
    pandas==3.1.1 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
from confidenceinterval import f1_score

rng = np.random.default_rng(0)
images = 10_000
for classes, least, most in ((2, 3, 4), (10, 1.2, 1.5), (100, 0.3, 0.4)):
    labels = np.arange(images) % classes
    predictions = np.where(rng.uniform(size=images) < 0.9, labels, rng.integers(0, classes, images))
    options = {"method": "bootstrap_percentile", "n_resamples": 300, "random_state": 0}
    f1, (low, high) = f1_score(labels, predictions, average="macro")
    _, (bootstrap_low, bootstrap_high) = f1_score(labels, predictions, average="macro", **options)
    ratio = (high - low) / (bootstrap_high - bootstrap_low)
    _, (_, perfect) = f1_score(labels, labels, average="macro")
    print(
        f"{classes} classes: macro F1 {f1:.4f}, {low:.4f} to {high:.4f}, by bootstrap {bootstrap_low:.4f} to"
        f" {bootstrap_high:.4f} (ratio {ratio:.2f}); without an error up to {perfect:.4f}"
    )
    assert least < ratio < most
    assert np.isclose(perfect, 1 + 1.96 / np.sqrt(classes * images), rtol=0, atol=1e-5)
PY
