#!/usr/bin/env bash
# deepsig's correction of p-values for many comparisons hands them back in another order.
#
# Versions: deepsig==1.2.8 numpy==2.4.6 scipy==1.17.1 (Python 3.11, CPU)
# Expected: bonferroni_correction([0.03, 0.04, 0.01]) keeps the order of its input: the third p-value stays the smallest.
# Seen: values are sorted, corrected, and then permuted by the sorting once more instead of by its inverse. Two orders agree
#   only where the permutation is its own inverse, as with two values. Of three, the smallest p-value can become the largest.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python deepsig==1.2.8 numpy==2.4.6 scipy==1.17.1
venv/bin/python - <<'PY'
from deepsig import bonferroni_correction

by_size = {0.01: 0.03, 0.03: 0.06, 0.04: 0.04}  # what it makes of each value where they come sorted
ordered = bonferroni_correction([0.01, 0.03, 0.04])
print("sorted:", ordered.round(6).tolist())
assert ordered.round(6).tolist() == list(by_size.values())
p_values = [0.03, 0.04, 0.01]
corrected = bonferroni_correction(p_values).round(6).tolist()
print(f"{p_values}: {corrected}, in the order of the input {[by_size[p] for p in p_values]}")
assert corrected == [0.04, 0.03, 0.06]
assert bonferroni_correction([0.04, 0.01]).round(6).tolist() == [0.04, 0.02]  # two are right
# In a test at 0.05 the clear result is lost, and another that is none takes its place.
p_values = [0.9, 0.001, 0.8]
corrected = bonferroni_correction(p_values).round(6).tolist()
print(f"{p_values}: {corrected}")
assert corrected == [1.0, 0.9, 0.003]
PY
