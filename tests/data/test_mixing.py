from __future__ import annotations

import numpy as np
import pytest
import torch

from modernet.data.mixing import cutmix, mix, mixup
from modernet.recipes import Augmentation


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def labelled_batch(b: int = 12, side: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes; every pixel of a picture is its one-hot label, so that images and targets can be compared."""
    labels = torch.arange(b) % 3
    images = torch.eye(3)[labels][:, :, None, None].expand(b, 3, side, side).contiguous()
    return images, labels


def test_mixup_follows_its_definition() -> None:
    images = torch.randn(5, 3, 4, 4)
    partners = torch.tensor([2, 0, 1, 4, 3])
    mixed, share = mixup(images, partners, 0.3, rng())
    assert share == 0.3
    for i in range(5):
        torch.testing.assert_close(mixed[i], 0.3 * images[i] + 0.7 * images[partners[i]])


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_pastes_one_rectangle_of_the_partner_and_reports_what_is_left(seed: int) -> None:
    images = torch.arange(4.0)[:, None, None, None].expand(4, 3, 16, 16)
    partners = torch.tensor([1, 2, 3, 0])
    mixed, share = cutmix(images, partners, 0.75, rng(seed))
    pasted = mixed[0, 0] == 1
    rows, columns = pasted.any(1).sum(), pasted.any(0).sum()
    assert pasted.sum() == rows * columns
    assert max(rows, columns) <= 8  # the side of a quarter of the area, less where it hangs over the border
    assert share == pytest.approx(1 - pasted.float().mean().item())
    for i in range(4):
        expected = torch.where(pasted, images[partners[i]], images[i])
        torch.testing.assert_close(mixed[i], expected)


@pytest.mark.parametrize("augmentation", [Augmentation(mixup=0.8), Augmentation(cutmix=1.0)], ids=["mixup", "cutmix"])
@pytest.mark.parametrize("seed", range(5))
def test_targets_are_mixed_in_the_same_shares_as_pixels(augmentation: Augmentation, seed: int) -> None:
    images, labels = labelled_batch()
    mixed, targets = mix(images, labels, 3, augmentation, rng(seed))
    assert targets.dtype == torch.float32
    torch.testing.assert_close(mixed.mean((2, 3)), targets)
    torch.testing.assert_close(targets.sum(1), torch.ones(12))


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


def test_mixup_and_cutmix_take_turns() -> None:
    images, labels = labelled_batch()
    generator = rng()
    blended = 0
    for _ in range(200):
        mixed, _ = mix(images, labels, 3, Augmentation(mixup=1.0, cutmix=1.0), generator)
        blended += bool(((mixed > 0.001) & (mixed < 0.999)).any())  # CutMix leaves every pixel whole
    assert 70 < blended < 130


def test_the_share_follows_a_symmetric_beta_distribution() -> None:
    images, labels = torch.eye(2)[:, :, None, None], torch.arange(2)
    for alpha in (0.2, 1.0):
        generator = rng()
        shares = [mix(images, labels, 2, Augmentation(mixup=alpha), generator)[1][0, 0].item() for _ in range(3000)]
        # the partner is the picture itself half of the time, and then the share is 1
        shares = [share for share in shares if share < 1]
        assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
        assert np.var(shares) == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.015)
