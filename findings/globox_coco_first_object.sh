#!/usr/bin/env bash
# The first object of a COCO file that globox writes can not be found: pycocotools takes its id 0 for "no match".
#
# Versions: globox==2.9.0 pycocotools==2.0.11 numpy==2.4.6 (Python 3.11, CPU)
# Expected: detections that equal the ground truth have AP 1 and AR 1, before and after a conversion by globox.
# Seen: globox numbers annotations from 0; pycocotools stores the id of the matched object, and counts a match with id 0
#   as a false detection. With two objects AP falls to 0.25 and AR to 0.5; with one object both are 0.
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

from globox import AnnotationSet
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def measured(path):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
        found = [{**{key: a[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9} for a in truth.anns.values()]
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 3), round(float(evaluation.stats[8]), 3)


for objects, expected in ((1, (0, 0)), (2, (0.252, 0.5))):
    images = [{"id": i + 1, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in range(objects)]
    boxes = [
        {"id": i + 1, "image_id": i + 1, "category_id": 1, "bbox": [10, 10, 30, 30], "area": 900, "iscrowd": 0}
        for i in range(objects)
    ]
    Path("before.json").write_text(
        json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]})
    )
    AnnotationSet.from_coco("before.json").save_coco("after.json")
    ids = [a["id"] for a in json.loads(Path("after.json").read_text())["annotations"]]
    before, after = measured("before.json"), measured("after.json")
    print(f"{objects} object(s): AP, AR of perfect detections {before}, after globox {after}; ids {ids}")
    assert before == (1, 1)
    assert after == expected
    assert ids == list(range(objects))
PY
