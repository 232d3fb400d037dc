from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from modernet.data import ClassTargets, ImageDataset, InMemory, Loader, make_loader
from modernet.errors import InputError
from modernet.evaluation.robustness import measure_translation
from modernet.evaluation.robustness.translation import with_margin
from modernet.evaluation.scores import NonFiniteScores
from modernet.preparation import Preparation

CPU = torch.device("cpu")
PREPARATION = Preparation(32, (0.0,) * 3, (1 / 255,) * 3, crop=32 / 48)  # the network sees grey levels


class Recorded(nn.Module):
    """Answers by a function of the images, and keeps what it saw."""

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer, self.seen = answer, list[Tensor]()

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.clone())
        return self.answer(images)


def noise(n: int = 6, label: int = 0) -> ImageDataset:
    images = torch.randint(0, 256, (n, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = InMemory(images, ClassTargets(torch.full((n,), label)))
    return ImageDataset("noise", ("a", "b"), PREPARATION, split, split, split)


def loader_of(dataset: ImageDataset) -> Callable[[Preparation], Loader]:
    def loader_at(preparation: Preparation) -> Loader:
        return make_loader(dataset, dataset.test, batch_size=4, device=CPU, augmentation=None, preparation=preparation)

    return loader_at


def test_crops_are_cut_out_of_the_image_at_its_own_scale() -> None:
    dataset = noise()
    network = Recorded(lambda images: images.new_zeros(len(images), 2))
    measure_translation(network, PREPARATION, loader_of(dataset))

    images = dataset.test.images[:4].float()  # type: ignore[attr-defined]
    expected = [(0, 0)] + [offset for shift in (1, 2, 4) for offset in ((0, shift), (shift, 0))]
    assert len(network.seen) == 2 * len(expected), "two batches; 8 and 16 are more than an eighth of 32"
    for (down, across), crops in zip(expected, network.seen, strict=False):
        difference = crops - images[:, :, 8 + down : 40 + down, 8 + across : 40 + across]
        assert difference.abs().max() < 1e-3


def test_an_answer_that_depends_on_the_column_holds_for_vertical_shifts_alone() -> None:
    """All pixels of a column have its number; the logit of class 1 is how far the crop begins beyond column 9.5."""
    columns = torch.arange(48, dtype=torch.uint8).expand(6, 3, 48, 48).contiguous()
    split = InMemory(columns, ClassTargets(torch.tensor([0, 0, 0, 0, 0, 1])))
    dataset = ImageDataset("columns", ("a", "b"), PREPARATION, split, split, split)

    def answer(images: Tensor) -> Tensor:
        return torch.stack([images.new_zeros(len(images)), images[:, 0, 0, 0] - 9.5], 1)

    found = measure_translation(Recorded(answer), PREPARATION, loader_of(dataset), shifts=(1, 2))

    assert found.top1.value == pytest.approx(100 * 5 / 6)
    held = {(each.shift, each.direction): each.consistency.value for each in found.shifts}
    assert held == {(1, "horizontal"): 100, (1, "vertical"): 100, (2, "horizontal"): 0, (2, "vertical"): 100}
    before, after = (1 / (1 + math.exp(logit)) for logit in (-1.5, 0.5))  # of class 0, the answer
    changes = {(each.shift, each.direction): each.probability_change.value for each in found.shifts}
    assert changes[2, "horizontal"] == pytest.approx(100 * (before - after), rel=1e-4)
    assert changes[2, "vertical"] == 0
    assert found.metrics()["translation_2_consistency"] == 50
    assert found.metrics()["translation_n"] == 6
    assert [row["direction"] for row in found.detail()] == ["horizontal", "vertical"] * 2


def test_classes_among_which_an_answer_is_chosen_can_be_given() -> None:
    network = Recorded(lambda images: torch.tensor([[9.0, 0.0, 1.0]]).expand(len(images), 3))
    found = measure_translation(network, PREPARATION, loader_of(noise(label=1)), columns=torch.tensor([1, 2]))
    assert found.top1.value == 100, "the highest of the two logits"


def test_a_margin_keeps_the_scale_where_the_image_has_one() -> None:
    whole = Preparation((256, 256), (0.0,), (1.0,), crop=1.0)
    assert with_margin(Preparation(224, (0.0,), (1.0,), crop=0.875), 16) == whole
    assert with_margin(Preparation(224, (0.0,), (1.0,), crop=1.0), 16) == whole, "there is no more to show"
    assert with_margin(Preparation(100, (0.0,), (1.0,), crop=0.5), 10).crop == pytest.approx(0.6)


def test_images_too_small_to_shift_and_answers_that_are_not_finite_are_errors() -> None:
    tiny = Preparation(7, (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(InputError, match="images of 7 x 7 pixels are too small for these shifts; the largest is 0"):
        measure_translation(nn.Identity(), tiny, pytest.fail)
    with pytest.raises(NonFiniteScores, match="for 5 of 6 images"):
        measure_translation(Recorded(nan_but_for_one_of_four), PREPARATION, loader_of(noise()))


def nan_but_for_one_of_four(images: Tensor) -> Tensor:
    """Answer 0 for the first image of four, NaN for others."""
    logits = images.new_full((len(images), 2), math.nan)
    logits[: len(images) // 4] = 0
    return logits


@pytest.mark.parametrize("shifts", [(), (0,), (4, -2)])
def test_shifts_of_less_than_a_pixel_are_refused(shifts: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"^shifts are \[.*\]; give at least one, of 1 pixel or more each$"):
        measure_translation(nn.Identity(), PREPARATION, pytest.fail, shifts=shifts)
