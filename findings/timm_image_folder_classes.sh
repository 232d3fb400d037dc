#!/usr/bin/env bash
# timm's image folders number classes differently from torchvision's, and merge folders of the same name.
#
# Versions: timm==1.0.31 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0 (Python 3.11, CPU)
# Expected: the class of an image is the first folder under the root, and classes are numbered in the order of their
#   names as strings, as in torchvision.datasets.ImageFolder. A checkpoint trained with one reader can be evaluated with
#   the other.
# Seen: timm sorts the classes naturally (1, 2, 10; torchvision: 1, 10, 2) and names a class by the last folder of a
#   path: cats/2020 and dogs/2020 become one class '2020'. Nothing is reported.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python timm==1.0.31 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0
venv/bin/python - <<'PY'
from pathlib import Path

from PIL import Image
from timm.data import create_dataset
from torchvision.datasets import ImageFolder


def classes(root, *folders):
    for folder in folders:
        Path(root, folder).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(Path(root, folder, "image.png"))
    return create_dataset("", root).reader.class_to_idx, ImageFolder(root).class_to_idx


numbered = classes("numbered", "1", "2", "10")
nested = classes("nested", "cats/2020", "dogs/2020", "dogs/2021")
print("timm       ", numbered[0], nested[0])
print("torchvision", numbered[1], nested[1])
assert numbered == ({"1": 0, "2": 1, "10": 2}, {"1": 0, "10": 1, "2": 2})
assert nested == ({"2020": 0, "2021": 1}, {"cats": 0, "dogs": 1})
PY
