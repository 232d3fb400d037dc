#!/usr/bin/env bash
# torchvision's RandomErasing(value="random") paints uint8 images black and white.
#
# Versions: torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0 (Python 3.11, CPU)
# Expected: noise over the range of the image, or an error that asks for float images, as from v2.GaussianNoise.
# Seen: numbers from a normal distribution of mean 0 and standard deviation 1 are cast to uint8: two thirds are 0, the
#   negative ones below -1 wrap around to 255, 254, 253.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0
venv/bin/python - <<'PY'
import torch
from torchvision.transforms import v2

torch.manual_seed(0)
image = torch.full((3, 64, 64), 100, dtype=torch.uint8)
erased = v2.RandomErasing(p=1, scale=(0.5, 0.5), ratio=(1, 1), value="random")(image)
noise = erased[erased != 100]
shares = {value: round((noise == value).float().mean().item(), 2) for value in (0, 1, 255, 254)}
between = ((noise > 5) & (noise < 250)).sum().item()
print(f"{len(noise)} erased values; shares of 0, 1, 255, 254: {shares}; from 6 to 249: {between}")
assert shares[0] > 0.6
assert between == 0
PY
