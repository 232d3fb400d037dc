#!/usr/bin/env bash
# timm's DropBlock drops far more than it is asked to: of a 7x7 map, most of it at a probability of 0.1.
#
# Versions: timm==1.0.31 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0 (Python 3.11, CPU)
# Expected: about a share of `drop_prob` of the positions is zero, somewhat less where blocks overlap, as in the paper
#   and in torchvision.ops.drop_block2d.
# Seen: the rate of block centres is computed for centres whose block lies inside the map, but centres are drawn
#   everywhere. The nearer the side of a block is to that of the map, the larger the share: 0.12 for 3 of 14, 0.21 for
#   7 of 14, 0.92 for 7 of 7.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python timm==1.0.31 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0
venv/bin/python - <<'PY'
import torch
from timm.layers import drop_block_2d
from torchvision.ops import drop_block2d


def share(drop, side, block):
    torch.manual_seed(0)
    return (drop(torch.ones(64, 64, side, side), 0.1, block) == 0).float().mean().item()


for side, block, low in ((14, 3, 0.11), (14, 7, 0.18), (7, 7, 0.8)):
    timm, torchvision = share(drop_block_2d, side, block), share(drop_block2d, side, block)
    print(f"blocks of {block}x{block} in {side}x{side}, 0.1 asked: timm {timm:.3f}, torchvision {torchvision:.3f}")
    assert 0.08 < torchvision < 0.11
    assert timm > low
PY
