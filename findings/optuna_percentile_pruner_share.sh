#!/usr/bin/env bash
# Optuna's PercentilePruner(75) prunes most trials, and MedianPruner more than four fifths.
#
# Versions: optuna==5.0.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: PercentilePruner(75) prunes trials "in the bottom percentile among trials at the same step", a quarter of them,
#   and MedianPruner about half, where the values of all trials come from one distribution.
# Seen: a trial is compared to completed trials only; those that were pruned at the step no longer count. The bar rises with
#   each trial that passes it: of 200 trials, 73 pass at 75%, 35 at the median and 22 at 25%; of the second hundred 26, 7 and 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python optuna==5.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
pruners = {
    75: (optuna.pruners.PercentilePruner(75.0), [47, 26]),
    50: (optuna.pruners.MedianPruner(), [28, 7]),
    25: (optuna.pruners.PercentilePruner(25.0), [21, 1]),
}
accuracies = np.random.default_rng(0).normal(0.7, 0.05, size=200)
for percentile, (pruner, kept) in pruners.items():

    def train(trial):
        accuracy = accuracies[trial.number]
        trial.report(accuracy, step=0)
        if trial.should_prune():
            raise optuna.TrialPruned
        return accuracy

    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.optimize(train, n_trials=200)
    passed = np.array([trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials])
    # What the rule gives against all trials before, after the five of n_startup_trials.
    bars = [np.percentile(accuracies[:number], 100 - percentile) for number in range(5, 200)]
    rule = 5 + int(np.sum(accuracies[5:] >= bars))
    seen = [int(passed[:100].sum()), int(passed[100:].sum())]
    print(f"top {percentile}%: of 200 trials {sum(seen)} pass ({seen[0]} + {seen[1]}), against all trials before {rule}")
    assert seen == kept
    assert abs(rule - 2 * percentile) < 12
PY
