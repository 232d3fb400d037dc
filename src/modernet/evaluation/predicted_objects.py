"""Objects that a detector found in images without annotations: as text, drawn, and as a COCO file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from modernet.data.images.rle import Rle, area
from modernet.detection import Detections
from modernet.detection.drawing import draw, save
from modernet.evaluation.drawings import drawing_files
from modernet.files.atomic import whole_file
from modernet.preparation import Size

COCO_NAME = "detections.json"


@dataclass(frozen=True)
class FoundObject:
    """An object that was found."""

    label: str
    score: float
    """In (0.05, 1]."""
    box_xyxy: tuple[float, float, float, float]
    """Left, top, right and bottom edge, in pixels of the image."""
    mask: dict[str, Any] | None
    """As COCO has it: `size`, height and width, and `counts`, compressed run lengths; None without a mask head."""

    @property
    def area(self) -> float:
        """Pixels of the mask, or else of the box."""
        if self.mask is not None:
            return area(Rle(size=self.mask["size"], counts=self.mask["counts"].encode()))
        left, top, right, bottom = self.box_xyxy
        return round((right - left) * (bottom - top), 2)


@dataclass(frozen=True)
class DetectedImage:
    """The objects found in an image, best first."""

    image: str
    predictions: list[FoundObject]
    min_score: float = field(repr=False)
    """Least score of what is printed."""

    @staticmethod
    def of(image: str, found: Detections, size: Size, classes: Sequence[str], min_score: float) -> DetectedImage:
        """Name what was found in an image of a size."""
        masks: list[dict[str, Any] | None] = [None] * len(found)
        if found.masks is not None:
            masks = [{"size": list(rle["size"]), "counts": rle["counts"].decode()} for rle in found.rles(size)]
        rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes_xyxy.tolist(), masks, strict=True)
        objects = [
            FoundObject(classes[label], round(score, 5), tuple(round(side, 2) for side in box), mask)
            for label, score, box, mask in rows
        ]
        return DetectedImage(image, objects, min_score)

    @property
    def name(self) -> str:
        return self.image

    def lines(self) -> list[str]:
        """Return the sure objects as text, a line each."""
        sure = [found for found in self.predictions if found.score >= self.min_score]
        if not sure:
            best = f"; the best has {self.predictions[0].score:.2f}" if self.predictions else ""
            return [f"nothing with a score of {self.min_score:g} or more{best}"]
        return [f"{found.score:.2f}  {found.label}  {_corners(found.box_xyxy)}" for found in sure]


def _corners(box_xyxy: tuple[float, ...]) -> str:
    left, top, right, bottom = (round(side) for side in box_xyxy)
    return f"x {left}-{right}, y {top}-{bottom}"


class DetectionWriter:
    """Writes what was found to a folder: `NAME.png` for each image, and all of it as COCO's json.

    Args:
        folder: is made if it is missing.
        images: paths of all images to come.
        classes: names of the classes.
        category_ids: their ids in the file.

    Raises:
        InputError: a drawing would replace an image, or another drawing; or the folder cannot be written to.
    """

    def __init__(
        self, folder: Path, images: Sequence[Path], classes: Sequence[str], category_ids: Sequence[int]
    ) -> None:
        self._folder, self._classes = folder, classes
        self._drawings = drawing_files(folder, images, [".png"])
        self._ids = dict(zip(classes, category_ids, strict=True))
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, path: Path, image_u8: Tensor, found: Detections, named: DetectedImage) -> None:
        """Draw an image, and keep what was found for the file.

        Args:
            image_u8: uint8 (3, h, w).
            found: in pixels of the image.
            named: the same.
        """
        h, w = image_u8.shape[1:]
        sure = found.take(found.scores >= named.min_score)
        masks = None if sure.masks is None else sure.whole_masks((h, w))
        (drawing,) = self._drawings[path]
        save(drawing, draw(image_u8, sure.boxes_xyxy, sure.labels, sure.scores, masks, self._classes))
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": str(path), "height": h, "width": w})
        for one in named.predictions:
            left, top, right, bottom = one.box_xyxy
            box = [left, top, round(right - left, 2), round(bottom - top, 2)]
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": number,
                    "category_id": self._ids[one.label],
                    "bbox": box,
                    "area": one.area,
                    "iscrowd": 0,
                    "score": one.score,
                    **({} if one.mask is None else {"segmentation": one.mask}),
                }
            )

    def write(self) -> Path:
        """Write the file, and return its path."""
        path = self._folder / COCO_NAME
        categories = [{"id": number, "name": name} for name, number in self._ids.items()]
        content = {"images": self._images, "categories": categories, "annotations": self._annotations}
        with whole_file(path) as unfinished:
            unfinished.write_text(json.dumps(content) + "\n", encoding="utf-8")
        return path
