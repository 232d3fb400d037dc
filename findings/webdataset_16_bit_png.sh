#!/usr/bin/env bash
# webdataset clips 16-bit PNG files (depth, instance ids) at 255.
#
# Versions: webdataset==1.0.2 torch==2.15.0 numpy==2.4.6 pillow==13.0.0 (Python 3.11, CPU)
# Expected: decode("pil") gives the image in its own mode (I;16), or the values are scaled to 8 bits.
# Seen: every image is converted to RGB, where Pillow clips: all values from 255 up become 255. decode("l8"),
#   ("rgb8"), ("torchrgb"), ... do the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python webdataset==1.0.2 torch==2.15.0 numpy==2.4.6 pillow==13.0.0
venv/bin/python - <<'PY'
import io
import tarfile

import numpy as np
import webdataset
from PIL import Image

depth = np.array([[0, 100, 255], [256, 4_096, 65_535]], dtype=np.uint16)
file = io.BytesIO()
Image.fromarray(depth).save(file, "PNG")
assert (np.asarray(Image.open(file)) == depth).all()
with tarfile.open("shard.tar", "w") as tar:
    member = tarfile.TarInfo("a.depth.png")
    member.size = len(file.getvalue())
    tar.addfile(member, io.BytesIO(file.getvalue()))
(sample,) = webdataset.WebDataset("shard.tar", shardshuffle=False).decode("pil")
image = sample["depth.png"]
values = np.asarray(image)[..., 0].ravel().tolist()
print(f"stored: uint16 {depth.ravel().tolist()}; decoded: {image.mode} {values}")
assert image.mode == "RGB"
assert values == [0, 100, 255, 255, 255, 255]
PY
