from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from modernet.data import ClassTargets, ImageDataset, InMemory, Loader, make_loader
from modernet.data.loading.reader import BatchTransform
from modernet.evaluation.robustness import probe_bias
from modernet.evaluation.robustness.bias import keep_half, shuffle_patches, smooth_texture
from modernet.preparation import Preparation

CPU = torch.device("cpu")


def images(b: int = 3, h: int = 21, w: int = 34) -> Tensor:
    return torch.randint(0, 256, (b, 3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_patches_change_places_and_nothing_else() -> None:
    before = images()
    after = shuffle_patches(before, np.arange(3), grid=4)
    for old, new in zip(before, after, strict=True):
        places = [(5 * row, 8 * column) for row in range(4) for column in range(4)]
        cut = [[image[:, y : y + 5, x : x + 8] for y, x in places] for image in (old, new)]
        patches = [sorted(patch.numpy().tobytes() for patch in each) for each in cut]
        assert patches[0] == patches[1]
        assert not torch.equal(old, new)
    assert torch.equal(after[:, :, 20:], before[:, :, 20:]), "the last row fills no patch"
    assert torch.equal(after[:, :, :, 32:], before[:, :, :, 32:])


def test_the_order_of_patches_belongs_to_the_image() -> None:
    batch = images()
    together = shuffle_patches(batch, np.array([5, 6, 7]), grid=4)
    assert torch.equal(shuffle_patches(batch[1:2], np.array([6]), grid=4), together[1:2])
    assert not torch.equal(shuffle_patches(batch[1:2], np.array([7]), grid=4), together[1:2])
    assert not torch.equal(shuffle_patches(batch[1:2], np.array([6]), grid=4, seed=1), together[1:2])


def test_smoothing_is_the_guided_filter() -> None:
    """At 28 pixels the radius is 1."""
    image = images(1, 28, 30)[0, 0].double().numpy() / 255

    def mean(values: np.ndarray) -> np.ndarray:
        return np.array(
            [[values[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].mean() for x in range(30)] for y in range(28)]
        )

    slope = (mean(image**2) - mean(image) ** 2) / (mean(image**2) - mean(image) ** 2 + 0.04)
    expected = mean(slope) * image + mean(mean(image) - slope * mean(image))
    smooth = smooth_texture(images(1, 28, 30), np.arange(1))[0, 0].double().numpy()
    assert np.abs(smooth - 255 * expected).max() <= 0.51


def test_smoothing_flattens_texture_and_keeps_an_edge() -> None:
    stripes = 20 * (torch.arange(224) % 4 < 2).float() - 10
    step = torch.where(torch.arange(224) < 112, 40.0, 220.0)
    image = (step + stripes).to(torch.uint8).expand(1, 3, 224, 224)
    smooth = smooth_texture(image, np.arange(1))[0, 0, 100].float()
    assert smooth[20:80].std() < 1, "stripes of 10 levels"
    assert smooth[114:118].mean() - smooth[106:110].mean() > 0.75 * 180


def test_the_centre_and_the_border_are_half_of_the_pixels_each() -> None:
    batch = images(2, 40, 60)
    fill = (10.0, 20.4, 30.0)
    centre, border = (keep_half(batch, np.arange(2), centre=each, fill=fill) for each in (True, False))
    filled = torch.tensor([10, 20, 30], dtype=torch.uint8)[:, None, None]
    from_centre, from_border = (centre != filled).any(1), (border != filled).any(1)
    assert not (from_centre & from_border).any()
    assert from_centre.float().mean() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(torch.where(from_centre[:, None], centre, border), batch)
    assert from_centre[:, 20, 30].all()


class ByPixel(nn.Module):
    """Class 1 where a pixel is bright."""

    def __init__(self, place: tuple[int, int] | None) -> None:
        super().__init__()
        self.place = place

    def forward(self, x: Tensor) -> Tensor:
        grey = x.mean(1)
        value = grey.mean((1, 2)) if self.place is None else grey[:, self.place[0], self.place[1]]
        return torch.stack([torch.zeros_like(value), value], 1)


def test_a_probe_tells_what_suffices_for_a_network() -> None:
    """Images are dark or bright all over. One network looks at the middle, one at a corner, one at the mean."""
    labels = torch.arange(10) % 2
    pixels = torch.where(labels == 1, 200, 40).to(torch.uint8)[:, None, None, None].expand(10, 3, 32, 32).contiguous()
    preparation = Preparation(32, (0.47,) * 3, (0.3,) * 3)
    split = InMemory(pixels, ClassTargets(labels))
    dataset = ImageDataset("shades", ("dark", "bright"), preparation, split, split, split)

    def loader_with(transform: BatchTransform | None) -> Loader:
        return make_loader(dataset, split, batch_size=4, device=CPU, augmentation=None, transform=transform)

    def accuracies(place: tuple[int, int] | None) -> dict[str, float]:
        found = probe_bias(ByPixel(place), preparation, loader_with)
        assert (found.n, found.k, found.detail()["guessing"]) == (10, 2, 50)
        assert [row["probe"] for row in found.detail()["probes"]] == [each.name for each in found.probes]
        assert found.metrics()["bias_border_top1"] == found.probes[-1].top1.value
        return {each.name: each.top1.value for each in found.probes}

    everywhere = accuracies(None)
    assert everywhere == dict.fromkeys(
        ["unchanged", "patches_2", "patches_4", "patches_8", "smooth", "centre", "border"], 100.0
    )
    assert accuracies((16, 16)) == everywhere | {"border": 50.0}
    assert accuracies((0, 0)) == everywhere | {"centre": 50.0}


def test_patches_of_less_than_four_pixels_are_left_out() -> None:
    preparation = Preparation(16, (0.5,) * 3, (0.3,) * 3)
    split = InMemory(images(4, 16, 16), ClassTargets(torch.zeros(4, dtype=torch.int64)))
    dataset = ImageDataset("noise", ("a", "b"), preparation, split, split, split)
    loader = partial(make_loader, dataset, split, batch_size=4, device=CPU, augmentation=None)
    found = probe_bias(ByPixel(None), preparation, lambda transform: loader(transform=transform))
    assert [each.name for each in found.probes] == ["unchanged", "patches_2", "patches_4", "smooth", "centre", "border"]
