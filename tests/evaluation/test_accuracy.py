from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data import ClassTargets, ImageDataset, InMemory, make_loader
from modernet.errors import InputError
from modernet.evaluation import evaluate_classifier, evaluate_saved, predict
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
    with pytest.raises(InputError, match="it does not know 'diagonal'"):
        evaluate_saved(saved, replace(stripes, classes=("diagonal", "vertical")))


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
