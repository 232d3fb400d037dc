from __future__ import annotations

import numpy as np
import pytest
import torch

from modernet.evaluation.mean_iou import Confusion

CPU = torch.device("cpu")


def by_hand(predicted: np.ndarray, target: np.ndarray, k: int) -> float:
    """Mean IoU written out class by class."""
    known = target < k
    predicted, target = predicted[known], target[known]
    ious = []
    for label in range(k):
        either = (predicted == label) | (target == label)
        if either.any():
            ious.append(((predicted == label) & (target == label)).sum() / either.sum())
    return 100 * float(np.mean(ious))


@pytest.mark.parametrize("seed", range(3))
def test_mean_iou_equals_the_definition_over_all_batches_together(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.choice([0, 1, 2, 4, 255], (6, 5, 7))  # class 3 of 6 occurs nowhere, class 5 is only predicted
    predicted = rng.choice([0, 1, 2, 5], (6, 5, 7))
    confusion = Confusion(6, CPU)
    for begin in (0, 2, 4):
        confusion.add(torch.tensor(predicted[begin : begin + 2]), torch.tensor(target[begin : begin + 2]))

    assert confusion.mean_iou() == pytest.approx(by_hand(predicted, target, 6))
    known = target != 255
    assert confusion.pixel_accuracy() == pytest.approx(100 * (predicted == target)[known].mean())
    assert int(confusion.counts.sum()) == known.sum()


def test_a_class_that_occurs_nowhere_does_not_count() -> None:
    confusion = Confusion(3, CPU)
    confusion.add(torch.tensor([0, 0, 1]), torch.tensor([0, 0, 1]))

    assert confusion.mean_iou() == 100.0


def test_ignored_pixels_alone_give_zero_and_not_nan() -> None:
    confusion = Confusion(3, CPU)
    confusion.add(torch.tensor([0, 1]), torch.tensor([255, 255]))

    assert confusion.mean_iou() == 0.0
    assert confusion.pixel_accuracy() == 0.0


def test_each_class_has_its_own_iou_and_the_accuracy_is_the_mean_over_true_classes() -> None:
    confusion = Confusion(4, CPU)
    confusion.add(torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 0, 0, 1, 1]))

    ious = confusion.per_class_iou()
    assert ious[:3] == pytest.approx([100 * 2 / 3, 100 / 3, 0.0])
    assert np.isnan(ious[3])
    assert confusion.mean_accuracy() == pytest.approx((100 * 2 / 3 + 50) / 2)  # class 2 is predicted, but never true
    assert Confusion(3, CPU).mean_accuracy() == 0.0
