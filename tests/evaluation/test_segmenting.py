"""Whole images are segmented as OpenMMLab does: in windows, at several scales, mirrored, at their own size."""

from __future__ import annotations

import weakref
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.evaluation.segmenting import Inference, class_probabilities, input_size, probability_strips
from modernet.preparation import Preparation

SQUARE = Preparation(8, (0.5,) * 3, (0.25,) * 3)


def images(h: int, w: int, n: int = 1) -> Tensor:
    return torch.randint(0, 256, (n, 3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def brightness(x: Tensor) -> Tensor:
    """Logits of two classes from each pixel alone."""
    return torch.cat([x.mean(1, keepdim=True), -x.mean(1, keepdim=True)], 1)


@pytest.mark.parametrize(
    ("stored", "scale", "expected"),
    [
        ((480, 640), 1.0, (512, 683)),  # 682.67 rounds up, as in OpenMMLab
        ((640, 480), 1.0, (683, 512)),
        ((480, 640), 0.75, (384, 512)),
        ((100, 1000), 1.0, (205, 2048)),  # longer than 4:1: 2048 limits it
        ((512, 512), 1.75, (896, 896)),
    ],
)
def test_images_are_scaled_to_cover_the_size_of_training(
    stored: tuple[int, int], scale: float, expected: tuple[int, int]
) -> None:
    assert input_size(stored, Preparation(512, (0.5,) * 3, (0.25,) * 3), scale) == expected


def test_probabilities_have_the_size_of_the_image_whatever_the_network_saw() -> None:
    seen: list[tuple[int, ...]] = []

    def network(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape[-2:]))
        return brightness(x)

    found = class_probabilities(network, images(11, 17, n=2), SQUARE)

    assert seen == [(8, 12)]
    assert found.shape == (2, 2, 11, 17)
    torch.testing.assert_close(found.sum(1), torch.ones(2, 11, 17))


def test_windows_end_at_the_border_and_are_averaged_where_they_overlap() -> None:
    """Each window answers with its number as the logit of one of two classes, so the result shows what saw a pixel."""
    answered: list[float] = []

    def network(x: Tensor) -> Tensor:
        answered.append(len(answered) / 4)
        logits = torch.zeros(1, 2, *x.shape[-2:])
        logits[:, 0] = answered[-1]
        return logits

    found = class_probabilities(network, images(8, 11), SQUARE, Inference(window=4, stride=3))

    # rows from 0, 3, 4 (not 6: the last ends at 8); columns from 0, 3, 6, 7
    corners = [(top, left) for top in (0, 3, 4) for left in (0, 3, 6, 7)]
    expected = torch.empty(8, 11)
    for y, x in product(range(8), range(11)):
        saw = [n / 4 for n, (top, left) in enumerate(corners) if top <= y < top + 4 and left <= x < left + 4]
        expected[y, x] = sum(saw) / len(saw)
    assert len(answered) == 12
    torch.testing.assert_close(found[0, 0], expected.sigmoid())


def test_windows_of_a_network_that_sees_single_pixels_change_nothing() -> None:
    image = images(8, 13)
    whole = class_probabilities(brightness, image, SQUARE)

    torch.testing.assert_close(class_probabilities(brightness, image, SQUARE, Inference(window=5, stride=3)), whole)
    torch.testing.assert_close(class_probabilities(brightness, image, SQUARE, Inference(window=64, stride=64)), whole)


def test_flips_are_turned_back_before_they_are_averaged() -> None:
    image = images(8, 8)
    whole = class_probabilities(brightness, image, SQUARE)

    torch.testing.assert_close(class_probabilities(brightness, image, SQUARE, Inference(flip=True)), whole)


def test_scales_average_probabilities() -> None:
    image = images(8, 8)
    each = [class_probabilities(brightness, image, SQUARE, Inference(scales=(scale,))) for scale in (0.5, 1.0)]
    both = class_probabilities(brightness, image, SQUARE, Inference(scales=(0.5, 1.0)))

    torch.testing.assert_close(both, (each[0] + each[1]) / 2)
    assert not torch.allclose(each[0], each[1])


def answers(x: Tensor) -> Tensor:
    """Logits of five classes at half the resolution, distinct at every place."""
    place = torch.arange(x.shape[-2] // 2 * (x.shape[-1] // 2)).float().view(1, 1, x.shape[-2] // 2, -1)
    return torch.cat([(place * factor).sin() * 3 for factor in (0.7, 1.3, 1.9, 2.7, 3.1)], 1).expand(len(x), -1, -1, -1)


@pytest.mark.parametrize("inference", [Inference(), Inference(scales=(0.5, 1.5), flip=True)])
@pytest.mark.parametrize("size", [(29, 40), (8, 11), (5, 7)])
def test_strips_are_what_the_whole_image_gives(size: tuple[int, int], inference: Inference) -> None:
    image = images(*size, n=2)
    h, w = size
    whole = torch.zeros(2, 5, h, w)
    for scale, flipped in product(inference.scales, (False, True) if inference.flip else (False,)):
        logits = answers(torch.zeros(2, 3, *input_size(size, SQUARE, scale)))
        logits = logits.flip(-1) if flipped else logits
        whole += F.interpolate(logits, size, mode="bilinear", align_corners=False).softmax(1)
    whole /= len(inference.scales) * (2 if inference.flip else 1)

    for rows in (1, 3, h):
        strips = list(probability_strips(answers, image, SQUARE, inference, most=2 * 5 * w * rows))
        assert [part.shape[2] for _, part in strips] == [rows] * (h // rows) + [h % rows] * (h % rows > 0)
        assert torch.cat([torch.arange(h)[where] for where, _ in strips]).tolist() == list(range(h))
        found = torch.cat([part for _, part in strips], 2)
        torch.testing.assert_close(found, whole, rtol=0, atol=2e-6)
        assert torch.equal(found.argmax(1), whole.argmax(1))


def test_gaps_between_windows_and_scales_of_0_are_refused() -> None:
    with pytest.raises(InputError, match="give 1 to 512 pixels"):
        Inference(window=512, stride=600)
    with pytest.raises(InputError, match="stride is 341, from one window to the next; give the side of a window too"):
        Inference(stride=341)
    with pytest.raises(InputError, match="factors above 0"):
        Inference(scales=(0.0, 1.0))


@pytest.mark.parametrize("flip", [False, True])
def test_many_views_are_not_in_memory_together(flip: bool) -> None:
    answered: list[weakref.ref[Tensor]] = []
    most = 0

    def network(x: Tensor) -> Tensor:
        nonlocal most
        most = max(most, sum(kept() is not None for kept in answered))
        logits = brightness(x)
        answered.append(weakref.ref(logits))
        return logits

    image = images(8, 8)
    found = class_probabilities(network, image, SQUARE, Inference(scales=(1.0,) * 6, flip=flip))

    assert len(answered) == (12 if flip else 6)
    assert most <= 2
    torch.testing.assert_close(found, class_probabilities(brightness, image, SQUARE))
