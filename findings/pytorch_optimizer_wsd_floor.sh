#!/usr/bin/env bash
# pytorch-optimizer's warmup-stable-decay schedule falls below its lowest learning rate, and jumps up to it at the end.
#
# Versions: pytorch-optimizer==4.1.0 torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: get_wsd_schedule(min_lr_ratio=0.1) cools down from 1 to 0.1 of the learning rate, and stays there.
# Seen: three of its four ways to cool down, also the default, go to 0 whatever min_lr_ratio is; the step after the last rises
#   to 0.1. Only "cosine" keeps above.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python --no-deps pytorch-optimizer==4.1.0
uv pip install -q --python venv/bin/python torch==2.15.0 numpy==2.4.6
venv/bin/python - <<'PY'
import torch
from pytorch_optimizer.lr_scheduler import get_wsd_schedule


def rates(**options):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = get_wsd_schedule(
        optimizer, num_warmup_steps=0, num_stable_steps=1, num_decay_steps=100, min_lr_ratio=0.1, **options
    )
    seen = []
    for _ in range(105):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


for kind in (None, "1-sqrt", "linear", "1-square", "cosine"):
    seen = rates(**({"cooldown_type": kind} if kind else {}))
    print(f"{kind or 'default'}: last of the decay {seen[100]:.4f}, then {seen[101]:.4f}")
    assert abs(seen[101] - 0.1) < 1e-9
    assert (min(seen) >= 0.1) == (kind == "cosine")
    assert (seen[100] < 0.02) == (kind != "cosine")
PY
