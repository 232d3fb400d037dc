"""The twelve numbers of COCO, from its files.

Matching and averaging are faster-coco-eval's, whose numbers equal those of pycocotools: ten IoU thresholds from 0.5 to
0.95, precision at 101 recalls, at most 100 objects of a class in an image.
"""

from __future__ import annotations

import gc
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as coco_mask

from modernet.data.images.rle import Rle, area, from_polygons, parse_rle
from modernet.errors import InputError, one_line
from modernet.preparation import Size

Kind = Literal["bbox", "segm"]
Annotation = dict[str, Any]
_NUMBERS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause Python's search for unreachable cycles, which would visit a growing heap of annotations again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@collection_paused()
def coco_average_precision(
    annotations: str | os.PathLike[str] | Mapping[str, Any],
    results: str | os.PathLike[str] | Sequence[Annotation],
    *,
    kind: Kind = "bbox",
) -> dict[str, float]:
    """Return COCO's AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl, 0 to 1; -1 where there is no object to find.

    They equal those of pycocotools where that reads the files and matches every annotation. Annotations are numbered
    from 1 here, since one with an id of 0, or with that of another, counts as not found. A missing `iscrowd` is 0; a
    missing `area` is that of the mask, or else of the box; also of the box where the size of the image is missing and
    the mask is polygons. An annotation without a mask is, for masks, a crowd that fills its box. A result with a mask
    is as large as its mask, even if it has a box too. Annotations of images that are not listed do not count.

    Args:
        annotations: a COCO file with `images`, `annotations` and `categories`, or its content, which is not changed.
        results: a COCO result file, or its content: `image_id`, `category_id`, `score`, and `bbox`, xywh in pixels, or
            `segmentation`, an RLE.
        kind: what overlaps: boxes or masks.

    Raises:
        InputError: a file cannot be read, or is of another kind; an entry lacks something; an image of the results is
            not in the annotations.
    """
    truth, found = _loaded(annotations), _loaded(results)
    if not isinstance(truth, Mapping) or not {"images", "annotations", "categories"} <= truth.keys():
        raise InputError(
            "the annotations are not in COCO's format: give a file with images, annotations and categories"
        )
    if not isinstance(found, Sequence):
        raise InputError("the results are not in COCO's format: give a file with a list of what was found")
    images = _each("image", truth["images"], lambda image: _image(image, kind))
    sizes = {image["id"]: (image["height"], image["width"]) for image in images}
    categories = _each("category", truth["categories"], lambda category: int(category["id"]))
    true = _each("annotation", truth["annotations"], lambda annotation: _true(annotation, sizes, kind))
    listed = [annotation for annotation in true if annotation is not None]
    return numbers(
        evaluated(images, categories, listed, _each("result", found, lambda each: _found(each, sizes, kind)), kind)
    )


def evaluated(
    images: list[Annotation], categories: Iterable[int], truth: list[Annotation], found: list[Annotation], kind: Kind
) -> COCOeval_faster:
    """Compare what was found with what is there.

    Args:
        images: `id`, and for masks `height` and `width`.
        categories: ids.
        truth: `image_id`, `category_id`, `iscrowd`, `area` and `bbox` or `segmentation`; they get ids from 1 on.
        found: `image_id`, `category_id`, `score`, `area` and `bbox` or `segmentation`; likewise.
        kind: what overlaps.
    """
    described = {"images": images, "categories": [{"id": category} for category in categories]}
    for entries in (truth, found):
        for index, entry in enumerate(entries):
            entry["id"] = index + 1
    evaluation = COCOeval_faster(
        COCO({**described, "annotations": truth}), COCO({**described, "annotations": found}), kind
    )
    evaluation.run()
    return evaluation


def numbers(evaluation: COCOeval_faster) -> dict[str, float]:
    """Return the twelve numbers, as `coco_average_precision`."""
    return dict(zip(_NUMBERS, map(float, evaluation.stats), strict=True))


def box_rle(xywh: Sequence[float], size: Size) -> Rle:
    """Return a mask that fills a box."""
    rle: Rle = coco_mask.frPyObjects(np.array([xywh], dtype=np.float64), *size)[0]
    return rle


def _loaded(source: Any) -> Any:
    """Return what is in a JSON file, or what was given instead of one."""
    if not isinstance(source, str | os.PathLike):
        return source
    try:
        return json.loads(Path(source).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {os.fspath(source)}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{os.fspath(source)} is not JSON: {one_line(error)}") from error


def _each(what: str, entries: Iterable[Any], read: Callable[[Any], Any]) -> list[Any]:
    """Read entries one by one; name the first that cannot be used."""
    done = []
    for position, entry in enumerate(entries):
        try:
            done.append(read(entry))
        except KeyError as error:
            raise InputError(f"{what} {position} of the file, counted from 0, has no {error.args[0]}") from error
        except (TypeError, ValueError) as error:
            raise InputError(f"{what} {position} of the file, counted from 0: {one_line(error)}") from error
    return done


def _image(image: Annotation, kind: Kind) -> Annotation:
    height, width = (int(image[side] if kind == "segm" else image.get(side, 0)) for side in ("height", "width"))
    return {"id": int(image["id"]), "height": height, "width": width}


def _true(annotation: Annotation, sizes: Mapping[int, Size], kind: Kind) -> Annotation | None:
    """Return what the evaluation asks for of an annotation; None where its image is not listed."""
    size, stated = sizes.get(int(annotation["image_id"])), annotation.get("area")
    if size is None:
        return None
    crowd = int(annotation.get("iscrowd", 0))
    segmentation, mask = annotation.get("segmentation"), None
    if kind == "bbox" and 0 in size:  # not in the file; run lengths have their own
        mask = parse_rle(segmentation) if stated is None and isinstance(segmentation, Mapping) else None
    elif kind == "segm" or stated is None:
        mask = _mask(segmentation, size)
    box = _box(annotation["bbox"]) if kind == "bbox" or mask is None else []
    if stated is None:
        stated = box[2] * box[3] if mask is None else area(mask)
    entry = {"image_id": int(annotation["image_id"]), "category_id": int(annotation["category_id"])}
    if kind == "bbox":
        return {**entry, "bbox": box, "iscrowd": crowd, "area": float(stated)}
    if mask is None:
        mask, crowd = box_rle(box, size), 1
    return {**entry, "segmentation": mask, "iscrowd": crowd, "area": float(stated)}


def _found(result: Annotation, sizes: Mapping[int, Size], kind: Kind) -> Annotation:
    """Return what the evaluation asks for of a result."""
    image_id, category_id, score = int(result["image_id"]), int(result["category_id"]), float(result["score"])
    if image_id not in sizes:
        raise ValueError(f"its image {image_id} is not in the annotations")
    if not math.isfinite(score):
        raise ValueError(f"its score is {score}")
    entry: Annotation = {"image_id": image_id, "category_id": category_id, "score": score}
    if kind == "bbox":
        entry["bbox"] = box = _box(result["bbox"])
        entry["area"] = box[2] * box[3]
        return entry
    mask = _mask(result["segmentation"], sizes[image_id])
    if mask is None:
        raise ValueError("its segmentation is empty")
    return {**entry, "segmentation": mask, "area": area(mask)}


def _box(values: Sequence[Any]) -> list[float]:
    x, y, w, h = map(float, values)
    return [x, y, w, h]


def _mask(segmentation: Any, size: Size) -> Rle | None:
    """Return polygons, or runs of either kind, as compressed runs; None where there is nothing."""
    if not segmentation:
        return None
    if isinstance(segmentation, Mapping):
        rle = parse_rle(segmentation)
        if tuple(rle["size"]) != size:
            raise ValueError(f"its mask is {rle['size'][0]} x {rle['size'][1]}, its image {size[0]} x {size[1]}")
        return rle
    polygons = segmentation if isinstance(segmentation[0], Sequence) else [segmentation]  # one without its list
    parts = [list(map(float, polygon)) for polygon in polygons if len(polygon) >= 6]  # at least three corners
    return from_polygons(parts, size) if parts else None
