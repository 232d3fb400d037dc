"""Images with objects and what a detector might find in them, made from a seed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from modernet.data import BoxTargets
from modernet.detection import Detections
from modernet.detection.pasting import paste
from modernet.evaluation.average_precision import AveragePrecision
from modernet.preparation import Size
from modernet.processes import ALONE, Processes

CLASSES = ("cat", "dog", "owl")
CATEGORY_IDS = (18, 3, 90)


def truth(
    boxes: list[tuple[float, float, float, float]],
    labels: list[int] | None = None,
    crowd: list[bool] | None = None,
    masks: torch.Tensor | None = None,
    areas: list[float] | None = None,
) -> BoxTargets:
    """Return the objects of one image: boxes in xyxy; by default of class 0, no crowds, without masks."""
    corners = torch.tensor(boxes, dtype=torch.float32).view(-1, 4)
    sides = (corners[:, 2:] - corners[:, :2]).double()
    count = len(boxes)
    return BoxTargets(
        corners,
        torch.tensor(labels if labels is not None else [0] * count, dtype=torch.int64),
        torch.tensor(crowd if crowd is not None else [False] * count, dtype=torch.bool),
        np.array([0, count]),
        masks,
        np.arange(count) if masks is not None else np.full(count, -1),
        (sides[:, 0] * sides[:, 1]).numpy() if areas is None else np.array(areas, dtype=np.float64),
        np.array([1]),
        CATEGORY_IDS,
    )


def found(
    boxes: list[tuple[float, float, float, float]],
    scores: list[float],
    labels: list[int] | None = None,
    masks: torch.Tensor | None = None,
) -> Detections:
    """Return what was found in one image: boxes in xyxy; by default of class 0, without masks."""
    corners = torch.tensor(boxes, dtype=torch.float32).view(-1, 4)
    labels = labels if labels is not None else [0] * len(boxes)
    return Detections(corners, torch.tensor(scores), torch.tensor(labels, dtype=torch.int64), masks)


def image(seed: int) -> tuple[Size, Detections, BoxTargets]:
    """Return the size of an image, what was found in it, and its objects, the second of which has only a box."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(90, 200, 2))
    count = 2 + int(rng.integers(5))
    corner = rng.uniform(0, [width - 60, height - 60], (count, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(10, 60, (count, 2))), 1)
    labels = rng.integers(0, 2, count)  # no owls
    axis = torch.linspace(-1, 1, 28)
    shapes = torch.stack(
        [(1.3 - torch.hypot(axis - x, axis[:, None] - y)).clamp(0, 1) for x, y in rng.normal(0, 0.3, (count, 2))]
    )
    masks = torch.stack(
        [paste(shape, box, (height, width)) for shape, box in zip(shapes, torch.from_numpy(boxes), strict=True)]
    )
    objects = truth(boxes.tolist(), labels.tolist(), (rng.random(count) < 0.1).tolist(), masks)
    objects.mask_of[1] = -1

    near = np.concatenate((boxes, boxes[rng.integers(0, count, 4)])) + rng.normal(0, 2, (count + 4, 4))
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    guesses = np.where(rng.random(count + 4) < 0.8, np.concatenate((labels, labels[:1].repeat(4))), 2)
    noisy = torch.cat((shapes, shapes[:1].repeat(4, 1, 1))) + torch.from_numpy(rng.normal(0, 0.05, (count + 4, 28, 28)))
    return (
        (height, width),
        found(near.tolist(), rng.random(count + 4).tolist(), guesses.tolist(), noisy.float()),
        objects,
    )


def collected(seeds: Iterable[int], processes: Processes = ALONE) -> AveragePrecision:
    """Return the average precision of boxes and masks over the images of some seeds; of all processes together."""
    total = AveragePrecision(CLASSES, CATEGORY_IDS, masks=True)
    for seed in seeds:
        total.add(100 - seed, *image(seed))
    total.gather(processes)
    return total
