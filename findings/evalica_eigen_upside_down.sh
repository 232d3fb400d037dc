#!/usr/bin/env bash
# evalica's eigenvalue ranking is upside down: the model that loses most has the highest score.
#
# Versions: evalica==0.4.2 numpy==2.4.6 pandas==3.1.1 (Python 3.11, CPU)
# Expected: a beats b 8:2 and c 9:3, and b beats c 6:4, so that a has the highest score of eigen and c the lowest, as with
#   evalica's other methods (Elo, Bradley-Terry, counting): the score of a model sums those of the models that it beats.
# Seen: c 0.72, b 0.60, a 0.35: the scores are those of the transposed matrix of wins, which sum over the models one loses to.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python evalica==0.4.2 numpy==2.4.6 pandas==3.1.1
venv/bin/python - <<'PY'
import evalica
import numpy as np

first, second, winners = [], [], []
wins = np.zeros((3, 3))
for one, other, won, lost in (("a", "b", 8, 2), ("a", "c", 9, 3), ("b", "c", 6, 4)):
    first += [one] * (won + lost)
    second += [other] * (won + lost)
    winners += [evalica.Winner.X] * won + [evalica.Winner.Y] * lost
    wins["abc".index(one), "abc".index(other)] = won
    wins["abc".index(other), "abc".index(one)] = lost


def main_vector(matrix):
    values, vectors = np.linalg.eig(matrix)
    return np.abs(vectors[:, values.real.argmax()].real)


for method in (evalica.counting, evalica.elo, evalica.bradley_terry, evalica.eigen):
    scores = method(first, second, winners).scores
    print(f"{method.__name__}: {scores.to_dict()}")
    assert list(scores.sort_values(ascending=False).index) == (["c", "b", "a"] if method is evalica.eigen else ["a", "b", "c"])
scores = scores[["a", "b", "c"]].to_numpy()
assert np.allclose(scores, main_vector(wins.T), atol=1e-3)
assert main_vector(wins).argmax() == 0
PY
