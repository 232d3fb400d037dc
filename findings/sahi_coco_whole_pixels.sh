#!/usr/bin/env bash
# sahi cuts the polygons of a COCO file down to whole pixels.
#
# Versions: sahi==0.12.8 pycocotools==2.0.11 numpy==2.4.6 (Python 3.11, CPU)
# Expected: COCO has polygons and areas of any fraction of a pixel. Coco.from_coco_dict_or_path(...).json (what is behind
#   merging, splitting, slicing, and labelme2coco) returns them as they are, all the more as sahi is for small objects.
# Seen: each coordinate loses its fraction (10.9 becomes 10, not 11), so masks move left and up, by half a pixel on average and
#   by nearly one at most; boxes keep their fractions, and no longer fit. A mask of 3 x 3 pixels can have an overlap (IoU) of
#   0.29 with what it was, one of 10 x 10 pixels 0.68. There is no warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python sahi==0.12.8 pycocotools==2.0.11 numpy==2.4.6
TQDM_DISABLE=1 venv/bin/python -W ignore - <<'PY'
import numpy as np
from pycocotools import mask
from sahi.utils.coco import Coco


def annotation(number, left, size):
    right = left + size
    corners = [left, left, right, left, right, right, left, right]
    place = {"bbox": [left, left, size, size], "segmentation": [corners], "area": size * size}
    return {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, **place}


def masks(annotations):
    return [mask.merge(mask.frPyObjects(each["segmentation"], 1000, 1000)) for each in annotations]


objects = [annotation(1, 10.9, 3.0), annotation(2, 20.9, 10.0), annotation(3, 40.9, 100.0)]
content = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 1000, "height": 1000}],
    "categories": [{"id": 1, "name": "cat", "supercategory": "animal"}],
    "annotations": objects,
}
written = Coco.from_coco_dict_or_path(content).json["annotations"]
overlaps = np.diag(mask.iou(masks(objects), masks(written), [0] * len(objects)))
for before, after, overlap in zip(objects, written, overlaps):
    print(before["segmentation"][0][:4], "->", after["segmentation"][0][:4], f"box {after['bbox'][:2]}, IoU of the masks {overlap:.3f}")
assert [each["segmentation"][0][:4] for each in written] == [[10, 10, 13, 10], [20, 20, 30, 20], [40, 40, 140, 40]]
assert [each["bbox"][0] for each in written] == [10.9, 20.9, 40.9]
PY
