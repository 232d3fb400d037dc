#!/usr/bin/env bash
# pytorch-optimizer's CosineAnnealingWarmupRestarts takes the first step at the lowest learning rate, also without a warm-up.
#
# Versions: pytorch-optimizer==4.1.0 torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: with warmup_steps=0, its default, every cycle begins at max_lr, as with CosineAnnealingWarmRestarts of torch.
# Seen: the first step is at min_lr and the second at almost max_lr; only later cycles begin at max_lr. Where the schedule moves
#   once an epoch, the whole first epoch is trained at min_lr.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python --no-deps pytorch-optimizer==4.1.0
uv pip install -q --python venv/bin/python torch==2.15.0 numpy==2.4.6
venv/bin/python - <<'PY'
import torch
from pytorch_optimizer.lr_scheduler import CosineAnnealingWarmupRestarts
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts


def rates(schedule, **options):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = schedule(optimizer, **options)
    seen = []
    for _ in range(10):
        seen.append(round(optimizer.param_groups[0]["lr"], 3))
        optimizer.step()
        scheduler.step()
    return seen


theirs = rates(CosineAnnealingWarmupRestarts, first_cycle_steps=5, max_lr=1.0, min_lr=0.001, gamma=1.0)
torchs = rates(CosineAnnealingWarmRestarts, T_0=5, eta_min=0.001)
print("pytorch-optimizer:", theirs)
print("torch:            ", torchs)
assert theirs[1:] == torchs[1:]
assert (theirs[0], theirs[5], torchs[0]) == (0.001, 1.0, 1.0)
PY
