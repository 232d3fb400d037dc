#!/usr/bin/env bash
# tfrecord cuts zero bytes off the ends of byte strings, where a feature has more than one.
#
# Versions: tfrecord==1.14.6 numpy==2.4.6 (Python 3.11, CPU)
# Expected: tfrecord_loader returns the bytes that TFRecordWriter has written, whether a feature is one string (an image) or a
#   list of them (frames, masks, raw arrays).
# Seen: a single string is the same. Several become an array of numpy's fixed-length strings, which end before their last
#   zeros: an empty mask of 64 pixels comes back as b"", and the int32 array [1, 2, 300] has 10 of its 12 bytes. There is no
#   warning; what is left may still be decoded (a black border of a mask is gone).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python tfrecord==1.14.6 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import numpy as np
from tfrecord import TFRecordWriter, tfrecord_loader

arrays = {"empty mask": np.zeros(64, np.uint8), "int32": np.array([1, 2, 300], "<i4"), "text": np.frombuffer(b"abc", np.uint8)}
values = [array.tobytes() for array in arrays.values()]
writer = TFRecordWriter("data.tfrecord")
writer.write({"together": (values, "byte"), **{name: (value, "byte") for name, value in zip(arrays, values)}})
writer.close()
(record,) = tfrecord_loader("data.tfrecord", None)
for name, value, together in zip(arrays, values, record["together"]):
    print(f"{name:10} written {len(value)} bytes, read alone {len(record[name])}, read in a list {len(together)}")
    assert record[name] == value
assert [len(value) for value in values] == [64, 12, 3]
assert [len(value) for value in record["together"]] == [0, 10, 3]
PY
