#!/usr/bin/env bash
# pylabel's GroupShuffleSplit divides the boxes of one image between train, test and val.
#
# Versions: pylabel==0.1.55 scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6 (Python 3.11, CPU)
# Expected: GroupShuffleSplit(group_col="img_filename") keeps the rows of an image together, as the function of scikit-learn
#   of that name does with groups=img_filename, and as pylabel's StratifiedGroupShuffleSplit does.
# Seen: every box is a group of its own (the column is given as y, which is ignored). Of 100 images with four boxes each, 89
#   are in two or three splits: trained on and tested with.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python pylabel==0.1.55 scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6
venv/bin/python -W ignore - 2>/dev/null <<'PY'
import json
from pathlib import Path

import numpy as np
from pylabel import importer
from sklearn.model_selection import GroupShuffleSplit

images = [{"id": i, "file_name": f"{i:03}.jpg", "width": 100, "height": 100} for i in range(100)]
boxes = [
    {"id": 1 + 4 * i + j, "image_id": i, "category_id": 1, "bbox": [20 * j, 10, 10, 10], "area": 100, "iscrowd": 0}
    for i in range(100)
    for j in range(4)
]
Path("labels.json").write_text(
    json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]})
)


def divided(rows):
    """How many images have boxes in more than one split."""
    return int((rows.groupby("img_filename")["split"].nunique() > 1).sum())


dataset = importer.ImportCoco("labels.json")
train, test = next(GroupShuffleSplit(1, train_size=0.6, random_state=0).split(dataset.df, groups=dataset.df.img_filename))
dataset.df.loc[train, "split"], dataset.df.loc[test, "split"] = "train", "test"
by_sklearn = divided(dataset.df)
np.random.seed(0)
dataset.splitter.StratifiedGroupShuffleSplit(train_pct=0.6, test_pct=0.2, val_pct=0.2)
stratified = divided(dataset.df)
dataset.splitter.GroupShuffleSplit(train_pct=0.6, test_pct=0.2, val_pct=0.2, group_col="img_filename", random_state=0)
by_pylabel = divided(dataset.df)
print(f"images in more than one split, of 100: scikit-learn {by_sklearn}, pylabel {by_pylabel}, stratified {stratified}")
assert by_sklearn == stratified == 0
assert by_pylabel == 89
PY
