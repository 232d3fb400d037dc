#!/usr/bin/env bash
# torch-optimizer's LARS is plain SGD unless weight_decay is set, and its default is 0.
#
# Versions: torch-optimizer==0.3.0 torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: LARS scales the step of each layer to lr * trust_coefficient * |weights|, whatever the size of the gradient.
# Seen: without weight decay nothing is scaled, and trust_coefficient has no effect: the step is lr * gradient. The least weight
#   decay makes it a thousand times smaller.
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


def step_length(scale, **options):
    weights = torch.ones(4, requires_grad=True)
    weights.grad = torch.full((4,), float(scale))
    torch_optimizer.LARS([weights], lr=1.0, trust_coefficient=0.001, **options).step()
    return float((weights.detach() - 1).norm())


for scale in (1, 100):
    without, least = step_length(scale), step_length(scale, weight_decay=1e-9)
    print(f"gradient of length {2 * scale}: step {without:.4f} without weight decay, {least:.4f} with 1e-9 of it")
    assert abs(without - 2 * scale) < 1e-3  # the gradient itself
    assert abs(least - 0.001 * 2) < 1e-5  # trust_coefficient * |weights|
PY
