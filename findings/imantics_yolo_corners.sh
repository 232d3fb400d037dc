#!/usr/bin/env bash
# imantics writes the corners of boxes into YOLO labels, where the format has their centres.
#
# Versions: imantics==0.1.12 numpy==2.4.6 (Python 3.11, CPU)
# Expected: "Generates YOLO format of annotation (using the bounding box)": class, centre x, centre y, width, height, all divided
#   by the size of the image.
# Seen: the two numbers after the class are the upper left corner. Every box that is trained on lies half its width to the left
#   and half its height above the object: the overlap (IoU) with the true box is 1/7, whatever the box.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python imantics==0.1.12 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
from imantics import Annotation, Category, Image

boxes = [[30, 40, 70, 60], [50, 50, 90, 90]]
image = Image(width=100, height=100, path="a.jpg")
for box in boxes:
    image.add(Annotation.from_bbox(box, image=image, category=Category("cat")))
labels = [[float(word) * 100 for word in line.split()[1:]] for line in image.export(style="yolo")]


def overlap(box, other):
    width, height = (min(box[2 + axis], other[2 + axis]) - max(box[axis], other[axis]) for axis in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / (sum((each[2] - each[0]) * (each[3] - each[1]) for each in (box, other)) - common)


for box, (x, y, width, height) in zip(boxes, labels):
    read = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    centre = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
    print(f"box {box}, its centre {centre}, in the label {[x, y]}; read back {read}, IoU {overlap(box, read):.3f}")
    assert [x, y, width, height] == [*box[:2], box[2] - box[0], box[3] - box[1]]
    assert abs(overlap(box, read) - 1 / 7) < 1e-6
PY
