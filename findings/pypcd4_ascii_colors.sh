#!/usr/bin/env bash
# pypcd4 writes all colours black into ASCII PCD files.
#
# Versions: pypcd4==1.5.1 numpy==2.4.6 (Python 3.11, CPU)
# Expected: the encoding of a PCD file does not change what is in it: points and colours are the same after save and
#   from_path, whether ASCII, binary or compressed.
# Seen: ASCII has ten decimals for every number. A colour of type rgb is its three bytes seen as a float, at most 2.4e-38,
#   and becomes 0.0000000000, which is black. Small numbers (a variance, 1e-12) become 0, too. There is no warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python pypcd4==1.5.1 numpy==2.4.6
venv/bin/python -W error - <<'PY'
import numpy as np
from pypcd4 import Encoding, PointCloud

places = np.array([[0.5, 1, 2], [3, 4.25, 5], [6, 7, 8]], np.float32)
colors = np.array([[255, 0, 0], [0, 255, 0], [255, 255, 255]], np.uint8)
cloud = PointCloud.from_xyzrgb_points(np.column_stack([places, PointCloud.encode_rgb(colors)]))
for encoding in (Encoding.BINARY, Encoding.BINARY_COMPRESSED, Encoding.ASCII):
    cloud.save("cloud.pcd", encoding=encoding)
    read = PointCloud.from_path("cloud.pcd")
    seen = PointCloud.decode_rgb(read.numpy(("rgb",)).ravel())
    print(f"{encoding.name}: colours {seen.tolist()}")
    assert (read.numpy(("x", "y", "z")) == places).all()
    assert (seen == (0 if encoding == Encoding.ASCII else colors)).all()
PY
