#!/usr/bin/env bash
# mapcalc and map-boxes compute another average precision where the same detections are listed in another order.
#
# Versions: mapcalc==0.2.2 map-boxes==1.0.6 pandas==2.3.3 numpy==2.4.6 (Python 3.11, CPU)
# Expected: both take a score for each box, and the metric of Pascal VOC, which they follow, looks at boxes by falling score.
#   The order in a list or a table does not matter.
# Seen: mapcalc never reads the scores; precision and recall follow the list. map-boxes sorts by score for the curve, but
#   matches in the order of the table: a box of low score takes the object, and the better one below it is a false alarm. In
#   both cases the average precision is 1 in one order and 0.5 in the other, without a warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python mapcalc==0.2.2 map-boxes==1.0.6 pandas==2.3.3 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
import numpy as np
from map_boxes import mean_average_precision_for_boxes
from mapcalc import calculate_map


def by_mapcalc(found):
    labels, scores, boxes = [1] * len(found), [score for score, _ in found], [box for _, box in found]
    truth = {"boxes": [[0, 0, 10, 10]], "labels": [1]}
    return calculate_map(truth, {"boxes": boxes, "labels": labels, "scores": scores}, 0.5)


def by_map_boxes(found):
    rows = [["a.jpg", "cat", score, left, right, top, bottom] for score, (left, top, right, bottom) in found]
    truth = np.array([["a.jpg", "cat", 0, 10, 0, 10]], object)
    return float(mean_average_precision_for_boxes(truth, np.array(rows, object), verbose=False)[0])


right_and_false = [(0.9, [0, 0, 10, 10]), (0.2, [50, 50, 60, 60])]
right_and_again = [(0.9, [0, 0, 10, 10]), (0.2, [0, 0, 10, 9])]
for measure, found in ((by_mapcalc, right_and_false), (by_map_boxes, right_and_again)):
    falling, rising = measure(found), measure(found[::-1])
    print(f"{measure.__name__}: best score first {falling}, best score last {rising}")
    assert (falling, rising) == (1, 0.5)
PY
