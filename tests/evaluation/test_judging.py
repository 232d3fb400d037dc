from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from known_scores import Lookup
from modernet.data import ClassTargets, ImageDataset, InMemory, make_loader
from modernet.evaluation import evaluate_classifier
from modernet.evaluation.judging import Judged, judge_classifier
from modernet.evaluation.scores import NonFiniteScores

CPU = torch.device("cpu")
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def twelve(stripes: ImageDataset) -> ImageDataset:
    """Twelve images, all pixels of image i are i; their classes are b, c and d in turn."""
    images = torch.arange(12, dtype=torch.uint8)[:, None, None, None].expand(12, 3, 4, 4).contiguous()
    split = InMemory(images, ClassTargets(torch.arange(12) % 3 + 1))
    plain = replace(stripes.preparation, image_size=4, mean=(0.0,) * 3, std=(1.0,) * 3)
    return replace(stripes, classes=NAMES, preparation=plain, test=split)


def judge(data: ImageDataset, scores: Tensor) -> Judged:
    loader = make_loader(data, data.test, batch_size=5, device=CPU, augmentation=None)
    return judge_classifier(Lookup(scores), loader)


def test_what_is_judged_adds_up_to_the_accuracy(twelve: ImageDataset) -> None:
    scores = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    loader = make_loader(twelve, twelve.test, batch_size=5, device=CPU, augmentation=None)
    found, expected = judge(twelve, scores).accuracy(), evaluate_classifier(Lookup(scores), loader)

    assert (found.top1, found.top5, found.n) == (expected.top1, expected.top5, expected.n)
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)


def test_classes_are_counted_by_what_they_are_and_what_they_are_taken_for(twelve: ImageDataset) -> None:
    taken_for = torch.tensor([1, 2, 3, 1, 2, 1, 2, 2, 1, 1, 2, 1])  # d is taken for b from the second time on
    judged = judge(twelve, torch.nn.functional.one_hot(taken_for, 4).float())

    assert judged.predicted.tolist() == taken_for.tolist()
    assert judged.per_class(NAMES) == {
        "b": {"top1": 75.0, "n": 4},
        "c": {"top1": 100.0, "n": 4},
        "d": {"top1": 25.0, "n": 4},
    }
    assert judged.confusion(NAMES) == {"classes": ["b", "c", "d"], "counts": [[3, 1, 0], [0, 4, 0], [3, 0, 1]]}


def test_a_class_that_nothing_has_is_part_of_the_confusion_where_it_is_predicted(twelve: ImageDataset) -> None:
    judged = judge(twelve, torch.nn.functional.one_hot(torch.zeros(12, dtype=torch.int64), 4).float())

    assert judged.confusion(NAMES)["classes"] == list(NAMES)
    assert judged.confusion(NAMES)["counts"] == [[0, 0, 0, 0]] + [[4, 0, 0, 0]] * 3
    assert "a" not in judged.per_class(NAMES)


def test_the_confusion_of_very_many_classes_is_left_out() -> None:
    labels = torch.arange(1001)
    assert Judged(labels, labels, labels, labels).confusion([str(label) for label in range(1001)]) == {}


def test_scores_that_are_not_finite_are_an_error(twelve: ImageDataset) -> None:
    scores = torch.randn(12, 4)
    scores[7, 0] = math.nan
    with pytest.raises(NonFiniteScores, match="NaN or infinity for 1 of 12 images"):
        judge(twelve, scores)
