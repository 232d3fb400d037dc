#!/usr/bin/env bash
# volumentations' RandomCrop does not crop a volume that is smaller than the crop in one direction, and pads it wrongly.
#
# Versions: volumentations-3D==1.0.4 numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0 opencv-python-headless==5.0.0.93
#   (Python 3.11, CPU)
# Expected: "image size smaller than crop size, pad by default": RandomCrop((24, 30, 30)) pads the short side, crops the others,
#   and returns 24 x 30 x 30.
# Seen: it pads only, and to height and width exchanged: of 20 x 40 x 40 it makes 30 x 40 x 40, and of 40 x 20 x 40 it makes
#   40 x 24 x 40, which is still narrower than the crop.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python --no-deps volumentations-3D==1.0.4 opencv-python-headless==5.0.0.93
uv pip install -q --python venv/bin/python numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0
venv/bin/python -W ignore - <<'PY'
import numpy as np
from volumentations import Compose
from volumentations.augmentations.transforms import RandomCrop

crop = Compose([RandomCrop((24, 30, 30))])
for shape, expected in (((40, 40, 40), (24, 30, 30)), ((20, 40, 40), (30, 40, 40)), ((40, 20, 40), (40, 24, 40))):
    seen = crop(image=np.zeros(shape, np.float32))["image"].shape
    print(f"{shape}: {seen}")
    assert seen == expected
PY
