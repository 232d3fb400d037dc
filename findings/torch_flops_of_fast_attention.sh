#!/usr/bin/env bash
# torch's FLOP counter counts nothing for nn.MultiheadAttention in evaluation mode without gradients, nor for nn.LSTM.
#
# Versions: torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0 (Python 3.11, CPU)
# Expected: the operations of a forward pass depend on the network and its input, not on whether it trains or whether
#   gradients are kept. nn.LSTM counts as nn.GRU does, with four products for three.
# Seen: eval() under no_grad() takes a fused operator that the counter does not know: attention counts 0, and ViT-B/16
#   loses a third. On a CPU nn.LSTM is always such an operator and counts 0; nn.GRU is counted right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0
venv/bin/python - <<'PY'
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import vit_b_16


def gflops(network, *inputs, gradients):
    with torch.set_grad_enabled(gradients), FlopCounterMode(display=False) as counter:
        network(*inputs)
    return counter.get_total_flops() / 1e9


tokens = torch.randn(1, 196, 64)
attention, vit = nn.MultiheadAttention(64, 4, batch_first=True).eval(), vit_b_16().eval()
for name, network, inputs in (("attention", attention, [tokens] * 3), ("ViT-B/16", vit, [torch.randn(1, 3, 224, 224)])):
    kept, dropped = (gflops(network, *inputs, gradients=gradients) for gradients in (True, False))
    print(f"{name}, evaluation mode: {kept:.3f} GFLOP with gradients, {dropped:.3f} without")
    assert dropped < 0.65 * kept
    assert name != "attention" or dropped == 0
lstm, gru = (gflops(kind(64, 64, batch_first=True), tokens, gradients=True) for kind in (nn.LSTM, nn.GRU))
print(f"LSTM: {lstm:.5f} GFLOP, GRU: {gru:.5f} GFLOP")
assert gru == 2 * 196 * (3 * 2 * 64 * 64) / 1e9
assert lstm == 0
PY
