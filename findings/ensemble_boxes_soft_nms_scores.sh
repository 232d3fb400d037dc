#!/usr/bin/env bash
# ensemble-boxes' soft_nms lowers scores only for itself: it returns those it was given.
#
# Versions: ensemble-boxes==1.0.9 numpy==2.4.6 (Python 3.11, CPU)
# Expected: Soft-NMS lowers the score of a box by its overlap with a better one; of two boxes with IoU 0.95 the second
#   falls from 0.8 to about 0.13 (method=2, Gaussian, sigma 0.5) or 0.04 (method=1, linear).
# Seen: the lowered scores decide the order and drop boxes below `thresh`, but the original scores are returned. Every
#   duplicate keeps its confidence, and an evaluation, which sorts by score, undoes the suppression.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python ensemble-boxes==1.0.9 numpy==2.4.6
venv/bin/python - <<'PY'
from ensemble_boxes import nms, soft_nms

best, duplicate, other = [0.1, 0.1, 0.5, 0.50], [0.1, 0.1, 0.5, 0.52], [0.6, 0.6, 0.9, 0.9]
boxes, scores, labels = [[best, duplicate, other]], [[0.9, 0.8, 0.7]], [[0, 0, 0]]
hard = nms(boxes, scores, labels, iou_thr=0.5)
print("nms:", hard[1].tolist())
assert hard[1].tolist() == [0.9, 0.7]
for method, name in ((1, "linear"), (2, "Gaussian")):
    kept, confidences, _ = soft_nms(boxes, scores, labels, method=method, iou_thr=0.5, sigma=0.5)
    print(f"soft_nms, {name}:", dict(zip(["best", "other", "duplicate"], confidences.tolist(), strict=True)))
    assert kept.tolist() == [best, other, duplicate]
    assert confidences.tolist() == [0.9, 0.7, 0.8]
# the lowered score does exist: with a threshold between it and 0.7 the duplicate goes
assert len(soft_nms(boxes, scores, labels, method=2, sigma=0.5, thresh=0.5)[1]) == 2
PY
