#!/usr/bin/env bash
# map-boxes does not count detections in images without objects, whatever exclude_not_in_annotations says.
#
# Versions: map-boxes==1.0.6 pandas==2.3.3 numpy==2.4.6 (Python 3.11, CPU)
# Expected: "exclude_not_in_annotations: exclude image IDs which are not exist in annotations. Default: False". So by default a
#   detection in an image that has no object is a false alarm, and with True it is left out.
# Seen: both give the same. Only images with a row in the annotations are looked at; nine false alarms of the highest score in
#   an empty image leave the average precision at 1. A row of the empty image without box and label (NaN), which the
#   documentation does not name, makes it 0.1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python map-boxes==1.0.6 pandas==2.3.3 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import numpy as np
from map_boxes import mean_average_precision_for_boxes

box = [0, 10, 0, 10]
with_object, empty = [["full.jpg", "cat", *box]], [["empty.jpg"] + [np.nan] * 5]
found = np.array([["full.jpg", "cat", 0.5, *box]] + [["empty.jpg", "cat", 0.9, *box]] * 9, object)


def precision(truth, exclude):
    return float(
        mean_average_precision_for_boxes(
            np.array(truth, object), found, exclude_not_in_annotations=exclude, verbose=False
        )[0]
    )


seen = {exclude: precision(with_object, exclude) for exclude in (True, False)}
with_row = precision(with_object + empty, exclude=False)
print(f"exclude_not_in_annotations=True {seen[True]}, False {seen[False]}; with a row for the empty image {with_row}")
assert seen == {True: 1, False: 1}
assert abs(with_row - 0.1) < 1e-9
PY
