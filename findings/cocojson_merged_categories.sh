#!/usr/bin/env bash
# cocojson loses all objects when it merges the first categories of a COCO file.
#
# Versions: cocojson==0.1.1 numpy==2.4.6 opencv-python-headless==4.12.0.88 tqdm==4.70.1 pillow==12.0.0 (Python 3.11, CPU)
# Expected: merge(cids=[[1]]) keeps the objects of category 1 and leaves out those of category 2.
# Seen: for each object it asks whether the last category of the file is one of those to keep, not that of the object. If it is
#   not, no object is written, without a word, while the images and the category are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python --no-deps cocojson==0.1.1 numpy==2.4.6 opencv-python-headless==4.12.0.88 \
    tqdm==4.70.1 pillow==12.0.0
venv/bin/python - <<'PY'
import json
from pathlib import Path

from cocojson.tools import merge
from PIL import Image

images = Path("photos")
images.mkdir()
Image.new("RGB", (8, 8)).save(images / "a.png")
boxes = [{"id": i, "image_id": 1, "category_id": i, "bbox": [i, i, 2, 2], "area": 4, "iscrowd": 0} for i in (1, 2)]
coco = {
    "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
    "annotations": boxes,
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
}
Path("photos.json").write_text(json.dumps(coco))
for cids, expected in ((None, 2), ([[1]], 1)):
    merge(["photos.json"], [str(images)], "out", cids=cids)
    merged = json.loads(Path("out/merged.json").read_text())
    names = [category["name"] for category in merged["categories"]]
    found = len(merged["annotations"])
    print(f"cids={cids}: categories {names}, {len(merged['images'])} image, {found} objects, expected {expected}")
    assert len(merged["images"]) == 1
    assert (names, found) == ((["cat"], 0) if cids else (["cat", "dog"], 2))
PY
