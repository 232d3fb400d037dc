from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data import ClassTargets, ImageDataset, InMemory, make_loader
from modernet.errors import InputError
from modernet.evaluation import evaluate_classifier, evaluate_saved, predict
from modernet.evaluation.scores import NonFiniteScores, ranks
from modernet.preparation import Preparation
from modernet.weights import NetworkSpec, SavedNetwork

CPU = torch.device("cpu")


class Lookup(nn.Module):
    """Scores that are known: row i of a table for the image whose first pixel is i."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, images: Tensor) -> Tensor:
        return self.scores[(images[:, 0, 0, 0] * 255).round().long()]


@pytest.fixture
def numbered() -> ImageDataset:
    """Ten images of seven classes; all pixels of image i are i."""
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 3, 4, 4).contiguous()
    split = InMemory(images, ClassTargets(torch.arange(10) % 7))
    return ImageDataset("numbered", tuple("abcdefg"), Preparation(4, (0.0,) * 3, (1.0,) * 3), split, split, split)


def test_accuracy_equals_its_definition(numbered: ImageDataset) -> None:
    scores = torch.randn(10, 7, generator=torch.Generator().manual_seed(0))
    labels = numbered.test.labels
    loader = make_loader(numbered, numbered.test, batch_size=4, device=CPU, augmentation=None)
    accuracy = evaluate_classifier(Lookup(scores), loader)

    ranks = (scores > scores.gather(1, labels[:, None])).sum(1)
    assert accuracy.top1 == pytest.approx(100 * (ranks < 1).float().mean().item())
    assert accuracy.top5 == pytest.approx(100 * (ranks < 5).float().mean().item())
    assert accuracy.loss == pytest.approx(F.cross_entropy(scores, labels).item(), rel=1e-5)
    assert accuracy.n == 10


def test_of_equal_scores_the_first_class_is_the_answer_and_five_are_among_the_best() -> None:
    """Seven equal scores: the true class is as far from the top as its index; `topk` has them in another order."""
    equal, labels = torch.ones(7, 7), torch.arange(7)

    assert ranks(equal, labels).tolist() == [0, 1, 2, 3, 4, 5, 6]
    scores = torch.tensor([[0.0, 2.0, 1.0, 2.0], [3.0, 3.0, 5.0, 5.0], [1.0, 0.0, 0.0, 0.0]])
    assert ranks(scores, torch.tensor([3, 0, 3])).tolist() == [1, 2, 3]


def test_top_1_is_the_argmax_and_top_5_the_stable_order_among_equal_scores(numbered: ImageDataset) -> None:
    scores = torch.randint(0, 3, (10, 7), generator=torch.Generator().manual_seed(1)).float()
    labels = numbered.test.labels
    loader = make_loader(numbered, numbered.test, batch_size=4, device=CPU, augmentation=None)
    accuracy = evaluate_classifier(Lookup(scores), loader)

    five = scores.sort(dim=1, descending=True, stable=True).indices[:, :5]
    assert accuracy.top1 == pytest.approx(100 * (scores.argmax(1) == labels).float().mean().item())
    assert accuracy.top5 == pytest.approx(100 * (five == labels[:, None]).any(1).float().mean().item())


@pytest.mark.parametrize("answer", [math.nan, math.inf, -math.inf])
def test_answers_that_are_not_finite_are_an_error_and_no_score(numbered: ImageDataset, answer: float) -> None:
    """A logit of minus infinity leaves the loss of another class finite."""
    scores = torch.randn(10, 7)
    scores[8, 3] = answer
    loader = make_loader(numbered, numbered.test, batch_size=4, device=CPU, augmentation=None)

    with pytest.raises(
        NonFiniteScores,
        match=r"the network answers NaN or infinity for 1 of 10 images: .*; fetch them again, or train it",
    ):
        evaluate_classifier(Lookup(scores), loader)


def test_the_network_is_evaluated_in_evaluation_mode_and_its_mode_restored(numbered: ImageDataset) -> None:
    modes: list[bool] = []

    class Watched(Lookup):
        def forward(self, images: Tensor) -> Tensor:
            modes.append(self.training)
            return super().forward(images)

    network = Watched(torch.randn(10, 7)).train()
    evaluate_classifier(network, make_loader(numbered, numbered.test, batch_size=10, device=CPU, augmentation=None))

    assert modes == [False]
    assert network.training


@pytest.fixture
def saved(stripes: ImageDataset) -> SavedNetwork:
    spec = NetworkSpec("model", "convnext_test", {"stem_stride": 1})
    torch.manual_seed(0)
    network = spec.build(2).eval()
    return SavedNetwork(network, spec, stripes.classes, stripes.preparation)


def test_a_saved_network_keeps_its_own_normalisation(saved: SavedNetwork, stripes: ImageDataset) -> None:
    brighter = replace(stripes, preparation=Preparation(16, (0.1,) * 3, (0.9,) * 3))

    assert evaluate_saved(saved, brighter) == evaluate_saved(saved, stripes)


def test_other_classes_are_refused(saved: SavedNetwork, stripes: ImageDataset) -> None:
    with pytest.raises(InputError, match="images of the class 'diagonal', and the network does not know it, only 2"):
        evaluate_saved(saved, replace(stripes, classes=("diagonal", "vertical")))


def test_classes_are_matched_by_name_in_any_order_and_without_those_that_are_missing(
    saved: SavedNetwork, stripes: ImageDataset
) -> None:
    network = nn.Sequential(saved.network, nn.Linear(2, 4, bias=False)).eval()
    with torch.no_grad():  # four classes, of which the data have the last and the second
        network[1].weight.copy_(torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]))
    four = replace(saved, network=network, classes=("a", "vertical", "b", "horizontal"))
    by_hand = torch.tensor([3, 1])[stripes.test.labels]
    renumbered = InMemory(stripes.test.images, ClassTargets(by_hand))
    expected = evaluate_saved(four, replace(stripes, classes=four.classes, test=renumbered))

    assert evaluate_saved(four, stripes) == expected
    assert expected.n == 30

    unused = replace(stripes, classes=("horizontal", "vertical", "never seen"))
    assert evaluate_saved(four, unused) == expected, "a class without an image needs no output"


def test_a_prediction_is_the_softmax_of_the_scores(saved: SavedNetwork, image_folder: Path) -> None:
    paths = sorted(image_folder.rglob("*.png"))[:3]
    predictions = predict(saved, paths)

    assert [prediction.image for prediction in predictions] == [str(path) for path in paths]
    for prediction in predictions:
        probabilities = [guess.probability for guess in prediction.predictions]
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-5)
        assert probabilities == sorted(probabilities, reverse=True)
        assert {guess.label for guess in prediction.predictions} == set(saved.classes)
    assert len(predict(saved, paths, top=1)[0].predictions) == 1


def test_predictions_agree_with_evaluation(saved: SavedNetwork, stripes: ImageDataset, image_folder: Path) -> None:
    """The same images through files and through the loader are right equally often."""
    paths = sorted(image_folder.rglob("*.png"))
    right = [
        prediction.predictions[0].label == path.parent.name
        for prediction, path in zip(predict(saved, paths), paths, strict=True)
    ]

    assert 100 * sum(right) / len(right) == pytest.approx(evaluate_saved(saved, stripes, "train").top1)


def test_an_unreadable_image_is_named_or_skipped(saved: SavedNetwork, image_folder: Path) -> None:
    broken = image_folder / "broken.png"
    broken.write_bytes(b"no image")
    good = sorted((image_folder / "vertical").iterdir())[0]

    with pytest.raises(InputError, match=r"broken\.png"):
        predict(saved, [good, broken])
    assert [prediction.image for prediction in predict(saved, [broken, good], skip_unreadable=True)] == [str(good)]


def test_predicting_no_images_or_no_classes_is_refused(saved: SavedNetwork, image_folder: Path) -> None:
    with pytest.raises(InputError, match="top is 0; give 1 or more"):
        predict(saved, list(image_folder.rglob("*.png")), top=0)
    with pytest.raises(InputError, match="no images were given"):
        predict(saved, [])


def test_of_equal_scores_the_first_class_is_predicted(saved: SavedNetwork, image_folder: Path) -> None:
    path = next(image_folder.rglob("*.png"))
    equal = replace(saved, network=Constant(torch.zeros(9)), classes=tuple("abcdefghi"))

    (prediction,) = predict(equal, [path], top=3)

    assert [guess.label for guess in prediction.predictions] == ["a", "b", "c"]
    assert [guess.probability for guess in prediction.predictions] == pytest.approx([1 / 9] * 3)


def test_a_prediction_that_is_not_finite_is_an_error_that_names_the_image(
    saved: SavedNetwork, image_folder: Path
) -> None:
    path = image_folder / "vertical" / "1.png"
    with pytest.raises(NonFiniteScores, match=r"NaN or infinity for .*vertical/1\.png: "):
        predict(replace(saved, network=Constant(torch.tensor([math.nan, 0.0]))), [path])


class Constant(nn.Module):
    """The same scores for every image."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, images: Tensor) -> Tensor:
        return self.scores.expand(len(images), -1)
