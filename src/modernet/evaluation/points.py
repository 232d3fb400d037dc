"""Networks for point clouds, measured on a split: classes of clouds, parts of shapes, and scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.points.dataset import PointDataset, PointSplit
from modernet.errors import InputError
from modernet.evaluation.answering import Questions, answer_whole_batches
from modernet.evaluation.class_counts import ClassCounts, renumbered
from modernet.evaluation.clouds import Clouds
from modernet.evaluation.mean_iou import Confusion
from modernet.processes import ALONE, Processes
from modernet.statistics import student_margin


def measure_clouds(
    network: nn.Module,
    loader: Questions,
    num_classes: int,
    title: str,
    processes: Processes = ALONE,
    clouds: Clouds | None = None,
) -> tuple[Confusion, dict[str, float]]:
    """Return the confusion of all clouds, and what is measured of their classes.

    Args:
        network: clouds float32 (b, n, channels) -> logits (b, k).
        loader: of `PointBatch`, not for training.
        num_classes: k.
        title: of the progress bar.
        processes: those that share the clouds; each has its own loader, and all return the same.
        clouds: draws some of those of this process.

    Returns:
        The confusion, on the CPU; `accuracy` and `mean_accuracy`, over clouds and over their classes, in per cent, the
        mean `loss` in nats, and `n`.

    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    """
    counts = ClassCounts(num_classes, next(network.parameters()).device)
    for batch, logits in answer_whole_batches(network, loader, title, processes):
        counts.add(logits, batch.targets[: batch.counted])
        if clouds is not None:
            clouds.add_classified(batch, logits.argmax(1))
    confusion, measured = counts.result("clouds", processes)
    return confusion, measured | {"mean_accuracy": confusion.mean_accuracy()}


class ShapeIoU:
    """The mean IoU of shapes by their category, as ShapeNet-part defines it, accumulated over batches.

    The IoU of a part is 1 where a shape has none of it and none is found. The mean over all parts of its category is
    that of a shape. The instance mIoU is the mean over shapes, the category mIoU that over the means of categories.

    Source: Yi et al. 2016, "A scalable active framework for region annotation in 3D shape collections", as evaluated by
    Qi et al. 2017 (arXiv 1612.00593, section 5.1).

    Args:
        allowed: bool (categories, k), the parts of each category.
    """

    def __init__(self, allowed: Tensor) -> None:
        self._allowed = allowed
        self._sums = torch.zeros(3, len(allowed), dtype=torch.float64, device=allowed.device)

    def add(self, predicted: Tensor, targets: Tensor, categories: Tensor) -> Tensor:
        """Count a batch.

        Args:
            predicted, targets: int64 (b, n), parts.
            categories: int64 (b,)

        Returns:
            The mean IoU of each shape, float64 (b,), in [0, 1].
        """
        found, true = (F.one_hot(each, self._allowed.shape[1]).bool() for each in (predicted, targets))
        union = (found | true).sum(1).double()
        iou = torch.where(union > 0, (found & true).sum(1) / union.clamp(min=1), 1.0)
        allowed = self._allowed[categories]
        shapes = (iou * allowed).sum(1) / allowed.sum(1)
        rows = torch.stack([torch.ones_like(shapes), shapes, shapes.square()])
        self._sums.index_add_(1, categories, rows)
        return shapes

    def result(self, processes: Processes = ALONE) -> tuple[dict[str, float], dict[int, tuple[float, int]]]:
        """Return `miou` over shapes, the ends of its 95 % interval, and `category_miou`, in per cent; and by category
        that occurs the mean over its shapes, and their number.
        """
        n, total, squares = processes.sum(self._sums).cpu()
        occurs = n > 0
        means = 100 * total[occurs] / n[occurs]
        count, mean = float(n.sum()), float(total.sum() / n.sum())
        variance = max(float(squares.sum()) - count * mean**2, 0.0) / max(count - 1, 1)
        margin = student_margin((variance / count) ** 0.5, count - 1) if count > 1 else 1.0
        measured = {
            "miou": 100 * mean,
            "miou_low": 100 * max(mean - margin, 0.0),
            "miou_high": 100 * min(mean + margin, 1.0),
            "category_miou": float(means.mean()),
        }
        found = zip(occurs.nonzero().flatten().tolist(), means.tolist(), n[occurs].tolist(), strict=True)
        return measured, {category: (iou, int(shapes)) for category, iou, shapes in found}


def measure_points(
    network: nn.Module,
    loader: Questions,
    num_classes: int,
    parts: Mapping[str, Sequence[int]],
    title: str,
    processes: Processes = ALONE,
    clouds: Clouds | None = None,
) -> tuple[Confusion, dict[str, float], dict[str, dict[str, float]]]:
    """Return the confusion of all points, what is measured of their classes, and the `iou` of each category or class.

    Of parts of shapes, only those that a shape's category has are answered, and `ShapeIoU` is measured. Of scenes,
    `miou` is the mean over classes of the IoU of all points, `mean_accuracy` that of the share of points that is right.

    Args:
        network: clouds float32 (b, n, channels) and categories int64 (b,) -> logits (b, n, k).
        num_classes: k.
        parts: as in `PointDataset`, in the order of the categories.

    Returns:
        The confusion, on the CPU; `miou` and the `accuracy` over points in per cent, for parts `category_miou`, for
        scenes `mean_accuracy`, the mean `loss` in nats, and `n` clouds.

    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    """
    device = next(network.parameters()).device
    counts, shapes = ClassCounts(num_classes, device), ShapeIoU(allowed_parts(parts, num_classes).to(device))
    n = 0
    for batch, logits in answer_whole_batches(network, loader, title, processes):
        targets, categories = batch.targets[: batch.counted], batch.categories[: batch.counted]
        predicted = answered_parts(logits, categories, parts)
        counts.add(logits.flatten(0, 1), targets.flatten(), predicted.flatten())
        ious = shapes.add(predicted, targets, categories)
        n += batch.counted
        if clouds is not None:
            clouds.add_segmented(batch, predicted, ious)
    confusion, measured = counts.result("points", processes)
    measured |= {"n": sum(processes.gather(n))}
    if len(parts) > 1:
        of_shapes, by_category = shapes.result(processes)
        names = list(parts)
        rows = {names[index]: {"iou": iou, "n": float(count)} for index, (iou, count) in by_category.items()}
        return confusion, of_shapes | measured, rows
    of_classes = {"miou": confusion.mean_iou(), "mean_accuracy": confusion.mean_accuracy()}
    return confusion, of_classes | measured, {}


def allowed_parts(parts: Mapping[str, Sequence[int]], num_classes: int) -> Tensor:
    """Return which classes each category can have: bool (categories, k)."""
    allowed = torch.zeros(len(parts), num_classes, dtype=torch.bool)
    for row, classes in zip(allowed, parts.values(), strict=True):
        row[list(classes)] = True
    return allowed


def answered_parts(logits: Tensor, categories: Tensor, parts: Mapping[str, Sequence[int]]) -> Tensor:
    """Return the class of each point among those of its shape's category.

    Args:
        logits: float32 (b, n, k).
        categories: int64 (b,)

    Returns:
        int64 (b, n)
    """
    allowed = allowed_parts(parts, logits.shape[-1]).to(logits.device)
    return logits.masked_fill(~allowed[categories][:, None], -torch.inf).argmax(-1)


def numbered_clouds(split: PointSplit, data: PointDataset, known: Sequence[str]) -> PointSplit:
    """Return a split of clouds with its classes numbered as a network's; errors as of `renumbered`."""
    return replace(split, labels=renumbered(split.labels, data.classes, known))


def numbered_parts(
    split: PointSplit, data: PointDataset, known: Sequence[str], parts: Mapping[str, Sequence[int]]
) -> PointSplit:
    """Return a split with the classes of its points and its categories numbered as a network's.

    Args:
        data: that it is of.
        known: the classes of the network.
        parts: the categories of the network.

    Raises:
        InputError: a class or a category occurs that the network does not know.
    """
    assert split.point_labels is not None
    points = renumbered(split.point_labels, data.classes, known)
    if len(parts) == 1:
        return replace(split, labels=np.zeros_like(split.labels), point_labels=points)
    categories = renumbered(split.labels, list(data.parts), list(parts))
    for index in np.unique(categories).tolist():
        name = list(parts)[index]
        strange = {data.classes[part] for part in data.parts[name]} - {known[part] for part in parts[name]}
        if strange:
            raise InputError(
                f"in the data a {name} can have the part {min(strange)!r}, which the network does not know"
            )
    return replace(split, labels=categories, point_labels=points)
