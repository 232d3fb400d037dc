#!/usr/bin/env bash
# thop, torchinfo and torchprofile count a transposed convolution stride x stride times.
#
# Versions: thop==0.1.1.post2209072238 torchinfo==1.8.0 torchprofile==0.1.0 ptflops==0.7.5 fvcore==0.1.5.post20221221 torch==2.15.0
#   torchvision==0.29.2 numpy==2.4.6 (Python 3.11, CPU)
# Expected: each value of the input is multiplied with each weight of its channel once, so nn.ConvTranspose2d(8, 16, 2, 2)
#   on 8x8 has 8*8 * 8*16*2*2 multiply-adds: as many as the convolution that goes the other way. All counters agree.
# Seen: these three multiply the weights with the size of the output, which is right for a convolution only. With stride 2
#   the count is 4 times too high, with stride 4 it is 16 times; torch's own counter, fvcore and ptflops are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python thop==0.1.1.post2209072238 torchinfo==1.8.0 torchprofile==0.1.0 ptflops==0.7.5 \
    fvcore==0.1.5.post20221221 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6
venv/bin/python - <<'PY'
import logging
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import thop
import torch
from fvcore.nn import FlopCountAnalysis
from ptflops import get_model_complexity_info
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchinfo import summary
from torchprofile import profile_macs


def by_torch(network, images):
    with FlopCounterMode(display=False) as counter:
        network(images)
    return counter.get_total_flops() / 2


def by_ptflops(network, images):
    return get_model_complexity_info(network, tuple(images.shape[1:]), as_strings=False, print_per_layer_stat=False)[0]


counters = {
    "torch": by_torch,
    "fvcore": lambda network, images: FlopCountAnalysis(network, images).total(),
    "ptflops": by_ptflops,
    "thop": lambda network, images: thop.profile(network, (images,), verbose=False)[0],
    "torchinfo": lambda network, images: summary(network, input_data=images, verbose=0).total_mult_adds,
    "torchprofile": profile_macs,
}
for stride in (1, 2, 4):
    up = nn.ConvTranspose2d(8, 16, stride, stride, bias=False).eval()
    down = nn.Conv2d(16, 8, stride, stride, bias=False).eval()
    small, large = torch.ones(1, 8, 8, 8), torch.ones(1, 16, 8 * stride, 8 * stride)
    right = 8 * 8 * 8 * 16 * stride * stride
    too_many = {name: count(up, small) / right for name, count in counters.items()}
    print(f"stride {stride}: of {right:,} multiply-adds,", ", ".join(f"{name} {ratio:g}x" for name, ratio in too_many.items()))
    assert all(count(down, large) == right for count in counters.values())
    assert {too_many[name] for name in ("torch", "fvcore", "ptflops")} == {1}
    assert {too_many[name] for name in ("thop", "torchinfo", "torchprofile")} == {stride * stride}
PY
