"""Average precision of boxes and masks over a set of images, and what a report draws of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from modernet import progress
from modernet.data.images.rle import Rle, RleMaps, encode
from modernet.data.targets import BoxTargets
from modernet.detection.detections import Detections
from modernet.detection.pairing import SAME_IOU, SURE_SCORE, Floats, Ints, pair, xywh
from modernet.errors import InputError
from modernet.evaluation.coco import Annotation, Kind, box_rle, collection_paused, evaluated, numbers
from modernet.files.atomic import whole_file
from modernet.preparation import Size
from modernet.processes import Processes
from modernet.records import Metric

_METRICS = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "ap_small": "APs", "ap_medium": "APm", "ap_large": "APl"}
_CURVES = {0: 0.5, 5: 0.75}  # indices of IoU thresholds
_MOST_CURVES = 12  # classes
_MOST_CONFUSED = 200  # classes


def metrics(masks: bool) -> tuple[Metric, ...]:
    """Return the metrics of detection, the primary one first; those of masks where there is a mask head."""
    of_boxes = (("box_ap", "box AP"), ("box_ap50", "box AP50"), ("box_ap75", "box AP75"))
    of_masks = (("mask_ap", "mask AP"), ("mask_ap50", "mask AP50")) if masks else ()
    return tuple(Metric(name, title, digits=1) for name, title in (*of_boxes, *of_masks))


@dataclass(frozen=True)
class Mistakes:
    """What went wrong in an image; see `pair` for what counts.

    Attributes:
        image_id: as given to `AveragePrecision.add`.
        objects: objects in the image, without crowds.
        missed: objects that nothing was found for.
        confused: objects that were found as one of another class.
        false_alarms: found where there is no object, or more than once.
    """

    image_id: int
    objects: int
    missed: int
    confused: int
    false_alarms: int

    @property
    def total(self) -> int:
        return self.missed + self.confused + self.false_alarms

    def __str__(self) -> str:
        parts = (
            (self.missed, f"{self.missed} of {self.objects} objects missed"),
            (self.confused, f"{self.confused} of {self.objects} objects taken for another class"),
            (self.false_alarms, f"{self.false_alarms} false alarm{'s' if self.false_alarms > 1 else ''}"),
        )
        return ", ".join(text for count, text in parts if count)


@dataclass(frozen=True)
class Precision:
    """What was measured over a set of images.

    Attributes:
        metrics: `box_ap`, `box_ap50`, `box_ap75`, `box_ap_small`, `box_ap_medium`, `box_ap_large`, and `mask_ap` etc.,
            in per cent. Small objects have an area of at most 32² pixels, large ones of at least 96². A figure without
            an object to find is left out.
        per_class: AP by class, such as `{"cat": {"box_ap": 51.2, "mask_ap": 47.0}}`; without classes that have no
            object to find.
        precision_recall: curves of the 12 classes with the lowest AP, and before them of the mean over all `classes`,
            whose `class` is None: `precision` of boxes, 0 to 1, at 101 recalls from 0 to 1, for the `iou` 0.5 and 0.75.
            It is the best one at this recall or a higher one, as in AP.
        confusion: `classes`, their names; `counts` of objects by true class (row) and predicted class (column);
            `missed` objects and `false_alarms` by class; and the `score` and `iou` that `pair` begins at. Empty for
            more than 200 classes.
        mistakes: of each image with any, the worst first: missed, confused and falsely found objects together.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    precision_recall: list[dict[str, Any]]
    confusion: dict[str, Any]
    mistakes: tuple[Mistakes, ...]


class AveragePrecision:
    """Detections and true objects of a set of images, added one by one, and their average precision.

    Masks are kept as run lengths. Each is pasted within its box and compressed before the next, so that large images
    need little memory.

    An object with only a box has no part in mask AP: it cannot be missed, and what is found there is no false alarm, as
    its box is taken for a crowd.

    Args:
        classes: names, by label.
        category_ids: ids for files, by label.
        masks: whether masks are measured as well.
    """

    def __init__(self, classes: Sequence[str], category_ids: Sequence[int], masks: bool) -> None:
        assert len(classes) == len(category_ids)
        self.classes, self.category_ids, self.masks = tuple(classes), tuple(category_ids), masks
        self._images: dict[int, _Image] = {}

    def add(self, image_id: int, size: Size, found: Detections, truth: BoxTargets) -> None:
        """Add an image.

        Args:
            image_id: its own.
            size: height and width of the original image.
            found: in pixels of the original image.
            truth: of this image alone.

        Raises:
            InputError: a mask is of another size than the image.
        """
        assert image_id not in self._images, f"image {image_id} was added before"
        self._images[image_id] = _Image(
            size,
            found_xywh=xywh(found.boxes_xyxy),
            found_labels=found.labels.cpu().numpy(),
            scores=found.scores.double().cpu().numpy(),
            found_counts=[rle["counts"] for rle in found.rles(size)] if self.masks else [],
            true_xywh=xywh(truth.boxes_xyxy),
            true_labels=truth.labels.cpu().numpy(),
            crowd=truth.crowd.cpu().numpy(),
            areas=truth.areas,
            true_counts=_true_counts(truth, size) if self.masks else [],
            pairs=_pairs(found, truth, len(self.classes)),
        )

    def gather(self, processes: Processes) -> None:
        """Add the images of all other processes to those of this one; all must call this at the same point.

        An image that several processes added counts once.
        """
        for images in processes.gather(self._images):
            self._images |= images

    @collection_paused()
    def measure(self) -> Precision:
        """Return the average precision, and what curves and tables need."""
        metrics: dict[str, float] = {}
        per_class: dict[str, dict[str, float]] = {}
        curves: list[dict[str, Any]] = []
        for name, kind in self._kinds():
            truth = list(self._truth(kind))
            if all(annotation["iscrowd"] for annotation in truth):
                count = len(self._images)
                holders = "1 image has" if count == 1 else f"{count} images have"
                progress.say(f"{holders} no {name} to find: {name} AP is left out")
                continue
            images = [
                {"id": image_id, "height": image.size[0], "width": image.size[1]} for image_id, image in self._sorted()
            ]
            result = evaluated(images, range(len(self.classes)), truth, list(self._found(kind)), kind)
            twelve = numbers(result)
            metrics |= {
                f"{name}_{key}": 100 * twelve[number] for key, number in _METRICS.items() if twelve[number] >= 0
            }
            precision = result.eval["precision"][:, :, :, 0, -1]  # threshold, recall, class; -1 without an object
            known = [label for label in range(len(self.classes)) if precision[0, 0, label] >= 0]
            for label in known:
                per_class.setdefault(self.classes[label], {})[f"{name}_ap"] = 100 * float(precision[:, :, label].mean())
            if kind == "bbox":
                curves = _curves(precision[:, :, known], [self.classes[label] for label in known])
        confusion, mistakes = self._confusion()
        return Precision(metrics, per_class, curves, confusion, mistakes)

    def write_json(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write what was found as COCO result files, `detections.bbox.json` and, with masks, `detections.segm.json`.

        Boxes are rounded to 0.01 pixels and scores to 5 decimals, which moved AP by less than 0.001 points on the files
        that were tried.

        Returns:
            The files.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = []
        for _, kind in self._kinds():
            paths.append(Path(folder) / f"detections.{kind}.json")
            with whole_file(paths[-1]) as unfinished:
                unfinished.write_text(json.dumps([self._result(found) for found in self._found(kind)]) + "\n")
        return paths

    def _result(self, found: Annotation) -> Annotation:
        category, score = self.category_ids[found["category_id"]], round(found["score"], 5)
        result: Annotation = {"image_id": found["image_id"], "category_id": category, "score": score}
        if "bbox" in found:
            return {**result, "bbox": [round(value, 2) for value in found["bbox"]]}
        return {**result, "segmentation": {**found["segmentation"], "counts": found["segmentation"]["counts"].decode()}}

    def _kinds(self) -> list[tuple[str, Kind]]:
        return [("box", "bbox"), ("mask", "segm")] if self.masks else [("box", "bbox")]

    def _sorted(self) -> list[tuple[int, _Image]]:
        return sorted(self._images.items())

    def _found(self, kind: Kind) -> Iterator[Annotation]:
        """Yield the objects found as COCO has them; their category is the label."""
        for image_id, image in self._sorted():
            where = _boxes(image.found_xywh) if kind == "bbox" else _masks(image.found_counts, image.size)
            for place, label, score in zip(where, image.found_labels.tolist(), image.scores.tolist(), strict=True):
                yield {"image_id": image_id, "category_id": label, "score": score, **place}

    def _truth(self, kind: Kind) -> Iterator[Annotation]:
        """Yield the true objects as COCO has them; their category is the label."""
        for image_id, image in self._sorted():
            where, crowd = _boxes(image.true_xywh), image.crowd
            if kind == "segm":
                crowd = crowd | np.array([counts is None for counts in image.true_counts], dtype=bool)
                rows = zip(image.true_counts, image.true_xywh, strict=True)
                where = _masks(
                    [box_rle(box, image.size)["counts"] if counts is None else counts for counts, box in rows],
                    image.size,
                )
            columns = (image.true_labels.tolist(), crowd.tolist(), image.areas.tolist())
            for place, label, ignored, area in zip(where, *columns, strict=True):
                yield {"image_id": image_id, "category_id": label, **place, "iscrowd": int(ignored), "area": area}

    def _confusion(self) -> tuple[dict[str, Any], tuple[Mistakes, ...]]:
        k = len(self.classes)
        counts = np.zeros((k + 1, k + 1), dtype=np.int64)
        mistakes = []
        for image_id, image in self._sorted():
            true, predicted = image.pairs
            np.add.at(counts, (true, predicted), 1)
            missed, false = predicted == k, true == k
            confused = (true != predicted) & ~missed & ~false
            objects = int((~image.crowd).sum())
            mistakes.append(Mistakes(image_id, objects, int(missed.sum()), int(confused.sum()), int(false.sum())))
        worst = sorted((image for image in mistakes if image.total), key=lambda image: -image.total)
        if k > _MOST_CONFUSED:
            return {}, tuple(worst)
        confusion = {
            "classes": list(self.classes),
            "counts": counts[:k, :k].tolist(),
            "missed": counts[:k, k].tolist(),
            "false_alarms": counts[k, :k].tolist(),
            "score": SURE_SCORE,
            "iou": SAME_IOU,
        }
        return confusion, tuple(worst)


@dataclass(frozen=True, eq=False)
class _Image:
    """What was found in an image, and what is there; boxes in xywh, masks as the counts of a compressed RLE."""

    size: Size
    found_xywh: Floats
    found_labels: Ints
    scores: Floats
    found_counts: list[bytes]
    true_xywh: Floats
    true_labels: Ints
    crowd: NDArray[np.bool_]
    areas: Floats
    true_counts: list[bytes | None]
    pairs: tuple[Ints, Ints]
    """True and predicted labels; the number of classes stands for nothing."""


def _true_counts(truth: BoxTargets, size: Size) -> list[bytes | None]:
    """Return the compressed runs of each mask; None where an object has only a box."""
    found: list[bytes | None] = []
    for number, index in enumerate(truth.mask_of.tolist()):
        rle: Rle | None = None
        if isinstance(truth.masks, RleMaps) and index >= 0:
            rle = truth.masks.rle(index)
        elif (mask := truth.mask(number, 0)) is not None:
            rle = encode(mask)
        if rle is not None and tuple(rle["size"]) != tuple(size):
            (h, w), (image_h, image_w) = rle["size"], size
            sizes = f"{image_h} x {image_w} pixels, but a mask of {h} x {w}"
            raise InputError(f"image {truth.image_ids[0]} has {sizes}; correct its size in the annotations")
        found.append(None if rle is None else rle["counts"])
    return found


def _boxes(boxes_xywh: Floats) -> list[Annotation]:
    return [{"bbox": box, "area": box[2] * box[3]} for box in boxes_xywh.tolist()]


def _masks(counts: Sequence[bytes], size: Size) -> list[Annotation]:
    rles = [{"size": list(size), "counts": each} for each in counts]
    areas = coco_mask.area(rles).tolist() if rles else []
    return [{"segmentation": rle, "area": area} for rle, area in zip(rles, areas, strict=True)]


def _curves(precision: Floats, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the curves of the mean over all classes and of the worst, as `Precision.precision_recall`.

    Args:
        precision: (10, 101, k), for each IoU threshold, recall and class.
    """
    worst = np.sort(precision.mean((0, 1)).argsort(kind="stable")[:_MOST_CURVES])
    rows: list[tuple[dict[str, Any], Floats]] = [({"class": None, "classes": len(classes)}, precision.mean(2))]
    rows += [({"class": classes[index]}, precision[:, :, index]) for index in worst]
    return [
        {**line, "iou": iou, "precision": values[threshold].round(4).tolist()}
        for line, values in rows
        for threshold, iou in _CURVES.items()
    ]


def _pairs(found: Detections, truth: BoxTargets, nothing: int) -> tuple[Ints, Ints]:
    """Return the true and the predicted label of each pair of `pair`; `nothing` of false alarms and missed objects."""
    pairs = pair(found, truth)
    labels, true_labels = found.labels.cpu().numpy(), truth.labels.cpu().numpy()
    true, predicted = np.full(len(pairs.taken), nothing), labels[pairs.found]
    true[pairs.taken >= 0] = true_labels[pairs.taken[pairs.taken >= 0]]
    missed = true_labels[pairs.missed]
    return np.concatenate((true, missed)), np.concatenate((predicted, np.full(len(missed), nothing)))
