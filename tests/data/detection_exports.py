"""Write images with objects as COCO, Pascal VOC and YOLO do, and read such folders with what is said about them."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from modernet import progress
from modernet.data import BoxTargets, Scene
from modernet.data.images import rle
from modernet.data.sources.examples import Examples, Source
from modernet.data.sources.read import read_source

Outline = list[float]


def read(path: Path, *, to_learn: bool = True) -> tuple[Source, str]:
    """Read a data set of boxes, and return what was said."""
    heard = io.StringIO()
    with contextlib.redirect_stderr(heard), progress.shown():
        source = read_source(str(path), targets="boxes", to_learn=to_learn).source
    return source, heard.getvalue()


def targets_of(examples: Examples | None) -> BoxTargets:
    assert examples is not None
    assert isinstance(examples.targets, BoxTargets)
    return examples.targets


def boxes_of(examples: Examples | None) -> list[list[float]]:
    return targets_of(examples).boxes_xyxy.tolist()


def masks_of(examples: Examples | None) -> list[torch.Tensor | None]:
    """Return the mask of each object."""
    targets = targets_of(examples)
    image = np.repeat(np.arange(len(targets)), np.diff(targets.offsets)).tolist()
    return [targets.mask(number, image[number]) for number in range(len(image))]


def write_image(path: Path, size: tuple[int, int] = (20, 30), **options: object) -> Path:
    """Write an image of one colour, which depends on its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    h, w = size
    shade = sum(map(ord, path.stem)) % 200
    Image.new("RGB", (w, h), (shade, 255 - shade, 90)).save(path, **options)
    return path


def write_scenes(folder: Path, scenes: Sequence[Scene]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, scene in enumerate(scenes):
        Image.fromarray(scene.image.permute(1, 2, 0).numpy()).save(folder / f"{number}.png")


def export_coco(root: Path, scenes: Sequence[Scene]) -> None:
    write_scenes(root / "images", scenes)
    h, w = scenes[0].image.shape[1:]
    images = [{"id": 10 + n, "file_name": f"{n}.png", "height": h, "width": w} for n in range(len(scenes))]
    annotations: list[Mapping[str, object]] = []
    for number, scene in enumerate(scenes):
        for box, label, mask in zip(scene.boxes_xyxy.tolist(), scene.labels.tolist(), scene.masks, strict=True):
            x1, y1, x2, y2 = box
            runs = rle.encode(mask)
            annotation = {
                "id": len(annotations) + 1,
                "image_id": 10 + number,
                "category_id": label + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": int(mask.sum()),
                "iscrowd": 0,
                "segmentation": {"size": runs["size"], "counts": runs["counts"].decode()},
            }
            annotations.append(annotation)
    categories = [{"id": digit + 1, "name": str(digit)} for digit in range(10)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(content))


def export_voc(root: Path, scenes: Sequence[Scene]) -> None:
    write_scenes(root / "JPEGImages", scenes)
    (root / "Annotations").mkdir()
    h, w = scenes[0].image.shape[1:]
    for number, scene in enumerate(scenes):
        objects = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{x1 + 1:g}</xmin><ymin>{y1 + 1:g}</ymin><xmax>{x2:g}</xmax>"
            f"<ymax>{y2:g}</ymax></bndbox></object>"
            for (x1, y1, x2, y2), label in zip(scene.boxes_xyxy.tolist(), scene.labels.tolist(), strict=True)
        )
        (root / "Annotations" / f"{number}.xml").write_text(
            f"<annotation><filename>{number}.png</filename><size><width>{w}</width><height>{h}</height>"
            f"<depth>3</depth></size>{objects}</annotation>"
        )


def export_yolo(root: Path, scenes: Sequence[Scene]) -> None:
    write_scenes(root / "images" / "train", scenes)
    (root / "labels" / "train").mkdir(parents=True)
    h, w = scenes[0].image.shape[1:]
    for number, scene in enumerate(scenes):
        lines = []
        for label, mask in zip(scene.labels.tolist(), scene.masks, strict=True):
            shares = (np.array(_outline(mask)).reshape(-1, 2) / (w, h)).ravel()
            lines.append(" ".join([str(label), *(f"{share:.6f}" for share in shares)]))
        (root / "labels" / "train" / f"{number}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("train: images/train\nnames: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']\n")


def _outline(mask: torch.Tensor) -> Outline:
    """Return a polygon around a mask: from its first to its last pixel in each row."""
    left: Outline = []
    right: Outline = []
    for row in mask.any(1).nonzero().flatten().tolist():
        columns = mask[row].nonzero().flatten()
        first, end = int(columns[0]), int(columns[-1]) + 1
        left += [first, row, first, row + 1]
        right = [end, row + 1, end, row, *right]
    return left + right
