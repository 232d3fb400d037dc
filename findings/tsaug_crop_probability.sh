#!/usr/bin/env bash
# tsaug's Crop takes the probability of augmenting a series for one of augmenting the whole batch.
#
# Versions: tsaug==0.2.1 numpy==2.4.6 scipy==1.17.1 (Python 3.11, CPU)
# Expected: Crop(prob=0.5), "the probability of a series is augmented", crops about half of 1000 series, as Drift and the
#   other augmenters do.
# Seen: it draws once for all of them: either every series is cropped, or none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python tsaug==0.2.1 numpy==2.4.6 scipy==1.17.1
venv/bin/python - <<'PY'
import numpy as np
import tsaug

series = np.tile(np.arange(100.0), (1000, 1))


def changed(augmenter):
    return float((augmenter.augment(series) != series).any(axis=1).mean())


crops = [changed(tsaug.Crop(size=50, resize=100, prob=0.5, seed=seed)) for seed in range(10)]
drifts = [changed(tsaug.Drift(prob=0.5, seed=seed)) for seed in range(10)]
print("share of series that Crop changes:", crops)
print("share of series that Drift changes:", drifts)
assert set(crops) == {0.0, 1.0}
assert all(0.4 < share < 0.6 for share in drifts)
PY
