#!/usr/bin/env bash
# imagecodecs' lossless JPEG 2000 swaps the bytes of big-endian images.
#
# Versions: imagecodecs==2026.3.6 numpy==2.4.6 (Python 3.11, CPU)
# Expected: jpeg2k_encode with reversible=True gives back every integer, or refuses the image. Microscopes and FITS files have
#   big-endian images; png_encode of the same library refuses them.
# Seen: 1 of type ">u2" becomes 256, without a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python imagecodecs==2026.3.6 numpy==2.4.6
venv/bin/python - <<'PY'
import imagecodecs
import numpy as np

numbers = np.arange(256).reshape(16, 16) * 200 + 1


def lossless(image):
    found = imagecodecs.jpeg2k_decode(imagecodecs.jpeg2k_encode(image, reversible=True))
    print(f"{image.dtype.str}: {image[0, :4].tolist()} comes back as {found[0, :4].tolist()}")
    assert found.dtype == image.dtype.newbyteorder("=")
    return found


try:
    imagecodecs.png_encode(numbers.astype(">u2"))
except ValueError as error:
    print("png_encode of >u2:", error)
else:
    raise AssertionError("png_encode takes big-endian images")
little, big = numbers.astype("<u2"), numbers.astype(">u2")
assert np.array_equal(lossless(little), numbers)
assert np.array_equal(lossless(big), little.byteswap())
PY
