#!/usr/bin/env bash
# globox takes the crowd regions of COCO for ordinary objects that a detector has to find.
#
# Versions: globox==2.9.0 pycocotools==2.0.11 numpy==2.4.6 (Python 3.11, CPU)
# Expected: COCOEvaluator, the "Pure Python COCO evaluator", gives what pycocotools does: a region with iscrowd=1 is never
#   missed, and detections in it are neither right nor wrong. A conversion from COCO to COCO keeps iscrowd.
# Seen: from_coco reads iscrowd nowhere. A detector that finds the only object and none of the crowd has AP 1 by pycocotools
#   and 0.505 by globox, and by pycocotools, too, once globox has written the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python globox==2.9.0 pycocotools==2.0.11 numpy==2.4.6
venv/bin/python - <<'PY'
import contextlib
import io
import json
from pathlib import Path

from globox import AnnotationSet, COCOEvaluator
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

found = [{"image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 30], "score": 0.9}]


def by_pycocotools(content):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 3)


crowd = {"id": 2, "image_id": 1, "category_id": 1, "bbox": [50, 50, 40, 40], "area": 1600, "iscrowd": 1}
content = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 30], "area": 900, "iscrowd": 0},
        {**crowd, "segmentation": {"counts": [5050, 40, 4910], "size": [100, 100]}},
    ],
}
Path("truth.json").write_text(json.dumps(content))
Path("found.json").write_text(json.dumps(found))
truth = AnnotationSet.from_coco("truth.json")
truth.save_coco("converted.json", imageid_to_id={"a.jpg": 1}, label_to_id={"cat": 1})
converted = json.loads(Path("converted.json").read_text())
for annotation in converted["annotations"]:
    annotation["id"] += 1  # pycocotools can not match an id 0: see globox_coco_first_object.sh
evaluator = COCOEvaluator(ground_truths=truth, predictions=truth.from_results("found.json"))
by_globox = round(evaluator.ap(), 3)
before, after = by_pycocotools(content), by_pycocotools(converted)
print(f"AP by pycocotools {before}, by globox {by_globox}, by pycocotools after globox's conversion {after}")
print("iscrowd after the conversion:", [annotation["iscrowd"] for annotation in converted["annotations"]])
assert before == 1
assert by_globox == after == 0.505
assert [annotation["iscrowd"] for annotation in converted["annotations"]] == [0, 0]
PY
