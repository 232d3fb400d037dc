#!/usr/bin/env bash
# pylabel drops the images without objects of a VOC dataset, and keeps those of COCO.
#
# Versions: pylabel==0.1.55 pandas==2.3.3 numpy==2.4.6 (Python 3.11, CPU)
# Expected: an annotation file without an object says that the image is empty: the dataset has the image as a row without
#   a class, and a conversion to another format keeps it. Such images measure false alarms.
# Seen: ImportVOC skips them, so that a detector is measured only on images with objects. ImportCoco keeps them, and so
#   does ExportToVoc: the same dataset loses 2 of its 3 images by being written and read again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python pylabel==0.1.55 pandas==2.3.3 numpy==2.4.6
venv/bin/python -W ignore - 2>/dev/null <<'PY'
import json
from pathlib import Path

from pylabel import importer

images = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in range(3)]
box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 30], "area": 900, "iscrowd": 0}
Path("labels.json").write_text(
    json.dumps({"images": images, "annotations": [box], "categories": [{"id": 1, "name": "cat"}]})
)
coco = importer.ImportCoco("labels.json")
coco.export.ExportToVoc("voc")
files = sorted(path.name for path in Path("voc").iterdir())
voc = importer.ImportVOC("voc")
print("from COCO:", coco.df.img_filename.tolist(), "written:", files, "from VOC:", voc.df.img_filename.tolist())
assert coco.df.img_filename.tolist() == ["0.jpg", "1.jpg", "2.jpg"]
assert files == ["0.xml", "1.xml", "2.xml"]
assert voc.df.img_filename.tolist() == ["1.jpg"]
PY
