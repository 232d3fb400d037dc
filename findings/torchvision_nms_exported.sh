#!/usr/bin/env bash
# A program of torch.export that contains torchvision's nms fails where fewer than two boxes survive.
#
# Versions: torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0 (Python 3.11, CPU)
# Expected: the program returns what nms returns for any boxes of the traced shape, as the number of survivors is not traced.
# Seen: torchvision describes the result to the tracer as a new size, which torch assumes to be two or more by default.
#   The program checks this: one survivor, which is what two copies of a box leave, is a RuntimeError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0
venv/bin/python - <<'PY'
import warnings

import torch
from torchvision.ops import nms

warnings.filterwarnings("ignore", category=FutureWarning)


class Suppress(torch.nn.Module):
    def forward(self, boxes, scores):
        return nms(boxes, scores, 0.5)


scores = torch.tensor([0.9, 0.8])
apart = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
alike = apart[:1].expand(2, 4).clone()
program = torch.export.export(Suppress(), (apart, scores)).module()
print("eager:", nms(apart, scores, 0.5).tolist(), nms(alike, scores, 0.5).tolist())
assert program(apart, scores).tolist() == [0, 1]
try:
    found = program(alike, scores).tolist()
except RuntimeError as error:
    found = str(error)
print("exported, one survivor:", found)
assert ">= 2" in found
PY
