"""Parts of shapes are measured as ShapeNet-part defines it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from modernet.errors import InputError
from modernet.evaluation.points import ShapeIoU, allowed_parts, answered_parts, numbered_parts
from modernet.statistics import student_margin
from small_clouds import PARTS, dataset

SHAPES = {"chair": (0, 1, 2), "lamp": (3, 4)}


def naive_iou(predicted: list[int], target: list[int], parts: tuple[int, ...]) -> float:
    """The mean over parts, point by point."""
    ious = []
    for part in parts:
        pairs = [(p == part, t == part) for p, t in zip(predicted, target, strict=True)]
        union = sum(p or t for p, t in pairs)
        ious.append(sum(p and t for p, t in pairs) / union if union else 1.0)
    return sum(ious) / len(ious)


def test_shapes_are_measured_over_the_parts_of_their_category() -> None:
    rng = np.random.default_rng(0)
    categories = rng.integers(2, size=20)
    names = list(SHAPES)
    target, predicted = (np.stack([rng.choice(SHAPES[names[c]], 9) for c in categories]) for _ in range(2))
    measured = ShapeIoU(allowed_parts(SHAPES, 5))
    for rows in (slice(0, 7), slice(7, 20)):
        given = [torch.from_numpy(each[rows]) for each in (predicted, target, categories)]
        shapes = measured.add(*given)
    expected = [
        naive_iou(p.tolist(), t.tolist(), SHAPES[names[c]])
        for p, t, c in zip(predicted, target, categories, strict=True)
    ]
    assert shapes.tolist() == pytest.approx(expected[7:])

    found, by_category = measured.result()
    assert found["miou"] == pytest.approx(100 * np.mean(expected))
    of_category = [100 * np.mean([iou for iou, c in zip(expected, categories, strict=True) if c == n]) for n in (0, 1)]
    assert found["category_miou"] == pytest.approx(np.mean(of_category))
    assert by_category == {n: (pytest.approx(of_category[n]), int((categories == n).sum())) for n in (0, 1)}
    margin = 100 * student_margin(np.std(expected, ddof=1) / math.sqrt(20), 19)
    assert found["miou_high"] - found["miou"] == pytest.approx(margin)


def test_a_part_that_is_neither_there_nor_found_counts_as_right() -> None:
    measured = ShapeIoU(allowed_parts(SHAPES, 5))
    points = torch.tensor([[0, 0, 1, 1]])
    assert measured.add(points, points, torch.tensor([0])).tolist() == [1.0]
    extra = torch.tensor([[0, 0, 1, 2]])  # parts 0: 1, 1: 1/2, 2: 0
    assert measured.add(extra, points, torch.tensor([0])).tolist() == [0.5]
    assert measured.result()[0] == {
        "miou": 75.0,
        "miou_low": 0.0,
        "miou_high": 100.0,
        "category_miou": 75.0,
    }


def test_only_parts_of_the_category_are_answered() -> None:
    logits = torch.tensor([[[9.0, 1.0, 2.0, 3.0, 4.0]]]).expand(2, 1, 5)
    assert answered_parts(logits, torch.tensor([0, 1]), SHAPES).tolist() == [[0], [4]]


def test_categories_and_parts_are_numbered_as_the_network_has_them() -> None:
    data = dataset(parts=True)
    known = ("rod above", "rod below", "disc above", "disc below")
    parts = {"rod": (0, 1), "disc": (2, 3)}
    numbered = numbered_parts(data.test, data, known, parts)
    assert numbered.labels.tolist() == [1, 0] * 7
    assert data.test.point_labels is not None
    assert numbered.point_labels is not None
    for before, after in zip(data.test.point_labels, numbered.point_labels, strict=True):
        assert known[after] == data.classes[before]

    with pytest.raises(InputError, match=r"in the data a disc can have the part 'disc below', which the network does"):
        numbered_parts(data.test, data, known, {"rod": (0, 1), "disc": (2,)})
    with pytest.raises(InputError, match=r"the data has the class 'disc', and the network knows only rod"):
        numbered_parts(data.test, data, known, {"rod": (0, 1), "cone": (2, 3)})
    scene = replace(data, parts={"": tuple(range(4))})
    assert numbered_parts(scene.test, scene, data.classes, {"": (0, 1, 2, 3)}).labels.tolist() == [0] * 14
    assert list(PARTS) == ["disc", "rod"]
