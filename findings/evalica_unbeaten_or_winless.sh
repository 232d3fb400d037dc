#!/usr/bin/env bash
# evalica's Bradley-Terry scores are the same for all models once one of them has lost, or won, every game.
#
# Versions: evalica==0.4.2 numpy==2.4.6 pandas==3.1.1 (Python 3.11, CPU)
# Expected: a model that never wins (or never loses) is last (or first); the others keep their order. Its best score is without
#   a bound, so a very small or large number, or an error.
# Seen: with one model d that lost all of its 5 games, or won them, all four scores are 1e-06, a tie, without a warning. Without d, and by
#   evalica's newman with d, the order is that of the wins.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python evalica==0.4.2 numpy==2.4.6 pandas==3.1.1
venv/bin/python -W error - <<'PY'
import evalica


def games(results):
    first, second, winners = [], [], []
    for one, other, won, lost in results:
        first += [one] * (won + lost)
        second += [other] * (won + lost)
        winners += [evalica.Winner.X] * won + [evalica.Winner.Y] * lost
    return first, second, winners


def order(scores):
    return "".join(scores.sort_values(ascending=False).index)


three = [("a", "b", 8, 2), ("a", "c", 9, 3), ("b", "c", 6, 4)]
lost, won = [*three, ("c", "d", 5, 0)], [*three, ("d", "a", 5, 0)]
without, with_lost, with_won = (evalica.bradley_terry(*games(results)).scores for results in (three, lost, won))
newman = evalica.newman(*games(lost)).scores
for name, scores in (("without d", without), ("d lost all", with_lost), ("d won all", with_won), ("d lost all, newman", newman)):
    print(f"{name}: {scores.to_dict()}")
assert order(without) == "abc" and order(newman) == "abcd"
for tied in (with_lost, with_won):
    assert tied.nunique() == 1 and set(tied.index) == set("abcd")
PY
