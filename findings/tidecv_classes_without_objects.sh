#!/usr/bin/env bash
# tidecv counts a class that has detections but no objects into the mean average precision, with 0.
#
# Versions: tidecv==1.0.1 pycocotools==2.0.11 numpy==2.4.6 opencv-python-headless==5.0.0.93 (Python 3.11, CPU)
# Expected: the mAP of COCO, as pycocotools: a class without objects has no average precision, and is left out of the mean.
# Seen: of two classes found perfectly and one stray detection of a third the mAP is 66.7; pycocotools has 100. On a split
#   where rare classes are missing, each class that a model only ever mentions lowers the result like one it never finds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python --no-deps tidecv==1.0.1 opencv-python-headless==5.0.0.93
uv pip install -q --python venv/bin/python pycocotools==2.0.11 numpy==2.4.6 matplotlib==3.11.2 seaborn==0.13.2 pandas==3.1.1 \
    appdirs==1.4.4
venv/bin/python - <<'PY'
import contextlib
import io

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tidecv import TIDE, Data

objects = [(1, [10, 10, 20, 20]), (2, [50, 50, 20, 20])]
stray = [(3, [80, 10, 10, 10])]


def by_tide(detections):
    truth, found = Data("truth"), Data("found")
    for category, box in objects:
        truth.add_ground_truth(1, category, box)
    for category, box in detections:
        found.add_detection(1, category, 0.9, box)
    return float(TIDE().evaluate(truth, found, pos_threshold=0.5, mode=TIDE.BOX).ap)


def by_coco(detections):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": 1, "width": 100, "height": 100}],
            "categories": [{"id": i, "name": str(i)} for i in (1, 2, 3)],
            "annotations": [
                {"id": i, "image_id": 1, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
                for i, (c, b) in enumerate(objects, 1)
            ],
        }
        truth.createIndex()
        found = truth.loadRes([{"image_id": 1, "category_id": c, "bbox": b, "score": 0.9} for c, b in detections])
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * float(evaluation.stats[1])  # at IoU 0.5


for detections, expected in ((objects, 100), (objects + stray, 200 / 3)):
    tide, coco = by_tide(detections), by_coco(detections)
    print(f"{len(detections)} detections: {tide:.1f} by tidecv, {coco:.1f} by pycocotools")
    assert abs(tide - expected) < 1e-6 and abs(coco - 100) < 1e-6
PY
