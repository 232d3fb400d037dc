#!/usr/bin/env bash
# ensemble-boxes' nms with equal weights divides scores by the number of models, and writes them into the caller's list.
#
# Versions: ensemble-boxes==1.0.9 numpy==2.4.6 (Python 3.11, CPU)
# Expected: weights=None "means weight == 1 for each model", so weights=[1, 1] changes nothing; and the lists that were
#   given stay what they were, as with weighted_boxes_fusion.
# Seen: scores of two models are halved, of five models divided by five, in nms and soft_nms. The lowered scores replace
#   those in the caller's list: the second call of a search for a good iou_thr halves them again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python ensemble-boxes==1.0.9 numpy==2.4.6
venv/bin/python - <<'PY'
from ensemble_boxes import nms, soft_nms, weighted_boxes_fusion

left, right = [0.1, 0.1, 0.4, 0.4], [0.6, 0.6, 0.9, 0.9]
boxes, labels = [[left], [right]], [[0], [0]]
for method in (nms, soft_nms):
    scores = [[1.0], [0.5]]
    without = method(boxes, scores, labels)[1].tolist()
    assert without == [1.0, 0.5]
    assert scores == [[1.0], [0.5]]
    equal = [method(boxes, scores, labels, weights=[1, 1])[1].tolist() for _ in range(3)]
    given = [one.tolist() for one in scores]
    print(f"{method.__name__}: without weights {without}; three calls with weights=[1, 1]: {equal}; the list is now {given}")
    assert equal == [[0.5, 0.25], [0.25, 0.125], [0.125, 0.0625]]
    assert given == [[0.125], [0.0625]]
scores = [[1.0], [0.5]]
fused = [weighted_boxes_fusion(boxes, scores, labels, weights=weights)[1].tolist() for weights in (None, [1, 1])]
assert fused[0] == fused[1]
assert scores == [[1.0], [0.5]]
PY
