#!/usr/bin/env bash
# torchinfo counts a linear layer on 196 tokens as if it ran on one.
#
# Versions: torchinfo==1.8.0 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0 (Python 3.11, CPU)
# Expected: nn.Linear on (images, tokens, channels) and the same weights as a 1x1 convolution of the same positions have
#   the same "total mult-adds". That of ViT-B/16 is about the published 17.6 billion.
# Seen: a linear layer is counted as images x weights, whatever lies between; attention is not counted. ViT-B/16 has
#   0.17 billion, and ConvNeXt-T, whose pointwise convolutions are linear layers, 0.32 of its 4.5 billion.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torchinfo==1.8.0 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0
venv/bin/python - <<'PY'
from torch import nn
from torchinfo import summary
from torchvision.models import convnext_tiny, vit_b_16


def counted(network, *shape):
    return summary(network, shape, verbose=0).total_mult_adds


linear = counted(nn.Linear(64, 64, bias=False), 1, 196, 64)
pointwise = counted(nn.Conv2d(64, 64, 1, bias=False), 1, 64, 14, 14)
print(f"64 x 64 weights at 196 positions: linear layer {linear:,}, 1x1 convolution {pointwise:,}")
assert pointwise == 64 * 64 * 196
assert linear == 64 * 64
vit, convnext = (counted(build(), 1, 3, 224, 224) / 1e9 for build in (vit_b_16, convnext_tiny))
print(f"ViT-B/16: {vit:.2f} billion (17.6); ConvNeXt-T: {convnext:.2f} billion (4.5)")
assert vit < 0.2
assert convnext < 0.4
PY
