#!/usr/bin/env bash
# torch's FLOP counter overcounts the gradients of grouped convolutions.
#
# Versions: torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: a backward pass costs twice the forward pass: as many operations for the gradient of the input as for that
#   of the weight.
# Seen: of a depthwise convolution of 64 channels the gradient of the weight is counted 64 times too high: the
#   backward pass is 65 times the forward pass instead of 2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch==2.15.0 numpy==2.4.6
venv/bin/python - <<'PY'
import torch
from torch.utils.flop_counter import FlopCounterMode


def flops(groups):
    layer = torch.nn.Conv2d(64, 64, 7, padding=3, groups=groups)
    x = torch.randn(1, 64, 14, 14, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        y = layer(x)
    with FlopCounterMode(display=False) as backward:
        y.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops()


ratios = {groups: backward / forward for groups in (1, 4, 64) for forward, backward in [flops(groups)]}
print("backward / forward, by groups:", ratios)
assert ratios[1] == 2
assert ratios[4] > 2
assert ratios[64] > 30
PY
