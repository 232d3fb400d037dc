#!/usr/bin/env bash
# mosaicml-streaming reads big-endian arrays back with their bytes swapped.
#
# Versions: mosaicml-streaming==0.13.0 torch==2.15.0 numpy==2.1.3 (Python 3.11, CPU)
# Expected: an array of a column "ndarray" comes back with its values. Those of FITS, IDX (MNIST) and netCDF files are often
#   big-endian; an array that the format does not take, such as one of bools, is refused.
# Seen: [0, 1, 2] of type ">i4" comes back as [0, 16777216, 33554432], and 1.0 of type ">f4" as 4.6e-41. The bytes are written
#   as they are, and the type without its byte order. A column "ndarray:int32" does refuse the array.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python mosaicml-streaming==0.13.0 torch==2.15.0 numpy==2.1.3
venv/bin/python - <<'PY'
import numpy as np
from streaming import MDSWriter, StreamingDataset


def stored(name, array):
    with MDSWriter(out=name, columns={"x": "ndarray"}) as writer:
        writer.write({"x": array})
    found = StreamingDataset(local=name, shuffle=False, batch_size=1)[0]["x"]
    print(f"{array.tolist()} of {array.dtype.str} comes back as {found.tolist()} of {found.dtype.str}")
    return found


integers, floats = np.arange(3, dtype=">i4"), np.ones(2, dtype=">f4")
assert np.array_equal(stored("little", integers.astype("<i4")), integers)
assert np.array_equal(stored("big", integers), integers.byteswap())
assert (stored("floats", floats) < 1e-40).all()
PY
