from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from known_scores import Lookup
from modernet.data import ClassTargets, ImageDataset, InMemory, fit_image, make_loader, read_image
from modernet.data.images.decoding import read_view
from modernet.data.images.views import central_view
from modernet.deploy import OptimizedNetwork, Runner
from modernet.errors import InputError
from modernet.evaluation import evaluate_classifier, evaluate_saved, predict, predict_each, predicting
from modernet.evaluation.scores import NonFiniteScores, ranks
from modernet.preparation import Preparation
from modernet.weights import NetworkSpec, SavedNetwork

CPU = torch.device("cpu")


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


def test_a_prediction_does_not_depend_on_its_batch_and_is_that_of_one_image_alone(
    saved: SavedNetwork, image_folder: Path
) -> None:
    """37 images of several sizes, with a broken one among them, in three batches; the plain way is one by one."""
    paths = sorted(image_folder.rglob("*.png"))[:37]
    Image.new("RGB", (90, 30), "teal").save(paths[3])
    paths[20].write_bytes(b"no image")
    predictions = predict(saved, paths, skip_unreadable=True)

    good = [path for path in paths if path != paths[20]]
    assert [prediction.image for prediction in predictions] == [str(path) for path in good]
    own = saved.preparation
    for prediction, path in zip(predictions, good, strict=True):
        image = fit_image(read_image(path), own.image_size, crop=own.crop, interpolation=own.interpolation)
        with torch.no_grad():
            expected = saved.network(own.normalise(image)[None])[0].softmax(0)
        found = {guess.label: guess.probability for guess in prediction.predictions}
        assert [found[name] for name in saved.classes] == pytest.approx(expected.tolist(), abs=1e-5)


def test_many_images_are_predicted_without_batch_norms_and_with_the_same_answers(
    saved: SavedNetwork, image_folder: Path
) -> None:
    torch.manual_seed(0)
    network = NetworkSpec("model", "resnet_test", {}).build(2).eval()
    batch_norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in batch_norms:
        nn.init.uniform_(module.running_mean)
        nn.init.uniform_(module.running_var, 0.5, 2)
    calls: list[nn.Module] = []
    seen = nn.modules.module.register_module_forward_hook(
        lambda module, *_: calls.append(module) if isinstance(module, nn.BatchNorm2d) else None
    )
    paths = sorted(image_folder.rglob("*.png"))
    one = predict(replace(saved, network=network), paths)
    assert len(calls) == 4 * len(batch_norms), "64 images in batches of 16"
    two = predict(replace(saved, network=network), paths * 2)
    seen.remove()

    assert len(calls) <= 7 * len(batch_norms), "used while folding, and not for eight batches"
    for found, expected in zip(two, one * 2, strict=True):
        assert found.image == expected.image
        assert [guess.label for guess in found.predictions] == [guess.label for guess in expected.predictions]
        probabilities = [[guess.probability for guess in each.predictions] for each in (found, expected)]
        assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-5)


def test_several_threads_answer_in_order_and_as_one_image_alone(
    saved: SavedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch of 16 takes longest, so that others are ready before it."""
    monkeypatch.setattr(predicting, "decoding_workers", lambda most: 3)
    rng = np.random.default_rng(0)
    for number in range(50):
        side = 700 if number < 16 else 40
        small = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
        small.resize((side, side + 50), Image.Resampling.BICUBIC).save(tmp_path / f"{number:02}.jpg")
    torch.manual_seed(0)
    network = NetworkSpec("model", "resnet_test", {}).build(2).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    paths = sorted(tmp_path.iterdir())
    found = predict(replace(saved, network=network), paths)

    assert [prediction.image for prediction in found] == [str(path) for path in paths]
    own = saved.preparation
    choose = partial(central_view, size=own.size, crop=own.crop)
    for prediction, path in zip(found, paths, strict=True):
        image = read_view(path, choose, own.interpolation)[0]
        with torch.no_grad():
            expected = network(own.normalise(image)[None])[0].softmax(0)
        by_label = {guess.label: guess.probability for guess in prediction.predictions}
        assert [by_label[name] for name in saved.classes] == pytest.approx(expected.tolist(), abs=1e-5)


def test_predictions_are_yielded_while_later_images_are_read(saved: SavedNetwork, image_folder: Path) -> None:
    """A broken image in the fifth batch does not keep the first ones."""
    paths = sorted(image_folder.rglob("*.png"))
    paths[-1].write_bytes(b"no image")
    predictions = predict_each(saved, paths)

    assert [next(predictions).image for _ in range(48)] == [str(path) for path in paths[:48]]
    with pytest.raises(InputError, match=r"vertical/\d+\.png"):
        list(predictions)


def test_predicting_leaves_torchs_threads_and_its_generator_as_they_were(
    saved: SavedNetwork, image_folder: Path
) -> None:
    paths, before = sorted(image_folder.rglob("*.png")) * 2, torch.get_num_threads()
    network = NetworkSpec("model", "resnet_test", {}).build(2).eval()
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    try:
        assert len(predict(replace(saved, network=network), paths)) == 128
        with pytest.raises(NonFiniteScores):
            predict(replace(saved, network=Constant(torch.tensor([math.nan, 0.0]))), paths)
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as new:
            assert new.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)
    assert torch.equal(torch.get_rng_state(), state)


class OwnThreads(Runner):
    """Pretends to compute in threads of its own, and remembers how many torch has and how many callers there are."""

    own_threads = True

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.seen = 0, set[tuple[int, int]]()

    def forward(self, images: Tensor) -> Tensor:
        self.inside += 1
        self.seen.add((torch.get_num_threads(), self.inside))
        time.sleep(0.01)
        self.inside -= 1
        return torch.zeros(len(images), 2)

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def test_a_network_with_threads_of_its_own_has_all_of_them_and_one_caller(
    saved: SavedNetwork, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, before = OwnThreads(), torch.get_num_threads()
    network = OptimizedNetwork(runner, (3, *saved.preparation.size), "", "")
    monkeypatch.setattr(predicting, "decoding_workers", lambda most: 2)
    torch.set_num_threads(2)
    try:
        assert len(predict(replace(saved, network=network), sorted(image_folder.rglob("*.png")))) == 64
    finally:
        torch.set_num_threads(before)
    assert runner.seen == {(2, 1)}


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
