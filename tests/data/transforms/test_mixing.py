from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from timm.data.mixup import Mixup

from modernet.data.chance import new_seed, seeded
from modernet.data.transforms.mixing import mix
from modernet.recipes import Augmentation

MODES = ("batch", "pair", "elem")
Mode = Literal["batch", "pair", "elem"]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def labelled_batch(b: int = 12, side: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes; every pixel of an image is its one-hot label, so that images and targets can be compared."""
    labels = torch.arange(b) % 3
    images = torch.eye(3)[labels][:, :, None, None].expand(b, 3, side, side).contiguous()
    return images, labels


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_smoothed_afterwards_it_is_what_timm_makes_of_the_same_random_numbers(
    mode: Mode, mixup: float, cutmix: float
) -> None:
    prob = 1.0 if mode == "batch" else 0.7
    theirs = Mixup(mixup, cutmix, prob=prob, switch_prob=0.3, mode=mode, label_smoothing=0.1, num_classes=5)
    ours = Augmentation(mixup=mixup, cutmix=cutmix, mix_prob=prob, mix_switch_prob=0.3, mix_mode=mode)
    labels = torch.tensor([0, 1, 2, 3, 4, 0, 1, 3])
    for seed in range(10):
        images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
        generator = rng(seed)
        if mode == "batch":
            generator.random()  # whether the batch is mixed at all
        with seeded(new_seed(generator)):
            expected, smoothed = theirs(images.clone(), labels)
        mixed, targets = mix(images, labels, 5, ours, rng(seed))
        assert torch.equal(mixed, expected)
        torch.testing.assert_close(0.9 * targets + 0.1 / 5, smoothed)
        assert targets.dtype == torch.float32


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("augmentation", [Augmentation(mixup=0.8), Augmentation(cutmix=1.0)], ids=["mixup", "cutmix"])
@pytest.mark.parametrize("b", [12, 7, 1])
def test_targets_are_mixed_in_the_same_shares_as_pixels(augmentation: Augmentation, mode: Mode, b: int) -> None:
    settings = Augmentation(mixup=augmentation.mixup, cutmix=augmentation.cutmix, mix_mode=mode)
    for seed in range(3):
        images, labels = labelled_batch(b)
        mixed, targets = mix(images, labels, 3, settings, rng(seed))
        torch.testing.assert_close(mixed.mean((2, 3)), targets)
        torch.testing.assert_close(targets.sum(1), torch.ones(b))
        if b % 2:
            assert targets[-1].max() == 1, "the last of an odd number stays as it is"


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(mixup=1.0, cutmix=1.0, mix_prob=0.0)])
def test_an_unmixed_batch_keeps_its_labels(augmentation: Augmentation) -> None:
    images, labels = labelled_batch()
    same_images, same_labels = mix(images, labels, 3, augmentation, rng())
    assert same_images is images
    assert same_labels is labels


def test_mix_prob_is_the_share_of_mixed_batches() -> None:
    images, labels = labelled_batch(side=2)
    generator = rng()
    mixed = [mix(images, labels, 3, Augmentation(mixup=1.0, mix_prob=0.3), generator)[1].ndim == 2 for _ in range(600)]
    assert np.mean(mixed) == pytest.approx(0.3, abs=0.06)


def test_the_global_generators_are_neither_used_nor_moved() -> None:
    results = []
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002 - the global state is what is tested
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        results.append(mix(*labelled_batch(), 3, Augmentation(mixup=1.0, cutmix=1.0), rng())[0])
        assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert torch.equal(*results)
