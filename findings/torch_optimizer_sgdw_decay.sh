#!/usr/bin/env bash
# torch-optimizer's SGDW takes a constant off every weight instead of a share of it: negative weights grow.
#
# Versions: torch-optimizer==0.3.0 torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: with weight_decay=0.1, lr=0.1 and no gradient, weights shrink by 1% a step towards 0, as with AdamW of torch.
# Seen: lr * weight_decay = 0.01 is subtracted from each of them. Positive weights fall, zero becomes negative, and negative
#   weights grow without a bound.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python --no-deps torch-optimizer==0.3.0 pytorch-ranger==0.1.1
uv pip install -q --python venv/bin/python torch==2.15.0 numpy==2.4.6
venv/bin/python - <<'PY'
import torch
import torch_optimizer

start = [2.0, 0.5, 0.0, -0.5]


def after(optimizer, steps):
    weights = torch.tensor(start, requires_grad=True)
    weights.grad = torch.zeros(4)
    optimizer = optimizer([weights], lr=0.1, weight_decay=0.1)
    for _ in range(steps):
        optimizer.step()
    return weights.detach()


sgdw, adamw = (after(optimizer, 100) for optimizer in (torch_optimizer.SGDW, torch.optim.AdamW))
print(f"{start} after 100 steps without gradient: SGDW {sgdw.tolist()}, AdamW {adamw.tolist()}")
start = torch.tensor(start)
torch.testing.assert_close(adamw, start * 0.99**100)
torch.testing.assert_close(sgdw, start - 1)
PY
