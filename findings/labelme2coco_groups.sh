#!/usr/bin/env bash
# labelme2coco makes an object of each part of an object.
#
# Versions: labelme2coco==0.2.6 sahi==0.12.8 numpy==2.4.6 (Python 3.11, CPU)
# Expected: shapes of the same label and group_id are one instance in labelme, for what is hidden in its middle or in parts;
#   labelme's own script makes one annotation with several polygons of them. So does a package to "convert labelme annotations
#   into coco format".
# Seen: group_id is not read. A car behind a pole becomes two cars, each with its own box, without a warning: a detector that
#   finds the whole car is wrong three times (two missed, one false).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python labelme2coco==0.2.6 sahi==0.12.8 numpy==2.4.6
TQDM_DISABLE=1 venv/bin/python -W ignore - <<'PY'
import json
from pathlib import Path

from labelme2coco import get_coco_from_labelme_folder

left = [[10, 40], [45, 40], [45, 80], [10, 80]]
right = [[55, 40], [90, 40], [90, 80], [55, 80]]
shapes = [
    {"label": "car", "points": part, "group_id": 7, "shape_type": "polygon", "flags": {}} for part in (left, right)
]
content = {"version": "5.0.0", "flags": {}, "shapes": shapes, "imagePath": "a.jpg", "imageData": None}
folder = Path("labels")
folder.mkdir()
(folder / "a.json").write_text(json.dumps({**content, "imageHeight": 100, "imageWidth": 100}))
annotations = get_coco_from_labelme_folder(str(folder)).json["annotations"]
boxes = [annotation["bbox"] for annotation in annotations]
print(f"one car in two parts becomes {len(annotations)} objects, with the boxes {boxes}; it is at [10, 40, 80, 40]")
assert boxes == [[10, 40, 35, 40], [55, 40, 35, 40]]
assert [len(annotation["segmentation"]) for annotation in annotations] == [1, 1]
PY
