#!/usr/bin/env bash
# timm's RandAugment fails at its largest magnitude with Pillow 13.
#
# Versions: timm==1.0.31 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0 (Python 3.11, CPU)
# Expected: rand-m10-inc1 augments every image, as with earlier releases of Pillow.
# Seen: PosterizeIncreasing asks for 0 bits at magnitude 10, which ImageOps.posterize now refuses.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python timm==1.0.31 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0
venv/bin/python - <<'PY'
import random

from PIL import Image
from timm.data.auto_augment import AugmentOp

random.seed(0)
image = Image.new("RGB", (8, 8), (200, 100, 50))
posterize = AugmentOp("PosterizeIncreasing", prob=1.0, magnitude=10)
try:
    posterize(image)
except ValueError as error:
    print("ValueError:", error)
else:
    raise SystemExit("posterizing at magnitude 10 works again")
PY
