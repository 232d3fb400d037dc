#!/usr/bin/env bash
# cleanlab's generate_noisy_labels changes no label of CIFAR-100's size at 10% of symmetric noise, and 19.8% at 30%.
#
# Versions: cleanlab==2.9.0 scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6 (Python 3.11, CPU)
# Expected: the noise matrix of 10% (0.9 on the diagonal, 0.1 / 99 elsewhere) changes 10% of the labels: the function is said
#   to yield it "exactly". The numbers for each pair of classes are rounded so that their sum stays, or drawn.
# Seen: each number is cut off to an integer: 0.1 / 99 of 500 images is 0.505, so 0 for all pairs, and 1.5 becomes 1 at 30%.
#   Nothing is said. For 10 classes the shares are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python cleanlab==2.9.0 scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
from cleanlab.benchmarking.noise_generation import generate_noisy_labels

seen = {}
for classes in (10, 100):
    labels = np.arange(50_000) % classes
    for noise in (0.1, 0.2, 0.3):
        matrix = np.full((classes, classes), noise / (classes - 1))
        np.fill_diagonal(matrix, 1 - noise)
        assert np.allclose(matrix.sum(axis=0), 1)
        np.random.seed(0)
        seen[classes, noise] = float(np.mean(generate_noisy_labels(labels, matrix) != labels))
        print(f"{classes} classes, noise {noise}: {seen[classes, noise]:.4f} of the labels change")
assert all(abs(seen[10, noise] - noise) < 0.002 for noise in (0.1, 0.2, 0.3))
assert seen[100, 0.1] == 0
assert seen[100, 0.2] == seen[100, 0.3] == 0.198
PY
