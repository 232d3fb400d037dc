"""The noises of ImageNet-C have the published laws, for each severity and size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from data.transforms.corruptions.pictures import pictures, pixels
from data.transforms.corruptions.reference import noise as reference
from modernet.data.transforms.corruptions import CORRUPTIONS, SEVERITIES, Corrupt

# mean change of a value of `pictures(8, 64, 64)` at severities 1 to 5 by the published code, for each published size
STRENGTHS: dict[str, dict[int, tuple[float, ...]]] = {
    "gaussian_noise": {
        32: (7.33, 10.87, 14.34, 16.05, 17.74),
        64: (7.33, 14.34, 21.05, 25.86, 30.47),
        224: (14.34, 21.05, 30.47, 41.80, 56.16),
        299: (16.05, 22.68, 31.96, 43.11, 58.24),
    },
    "shot_noise": {
        32: (5.28, 7.40, 11.55, 13.29, 16.19),
        64: (7.40, 11.55, 16.19, 20.54, 28.22),
        224: (14.79, 22.41, 31.36, 46.04, 57.44),
        299: (16.19, 24.80, 34.05, 46.04, 57.44),
    },
    "impulse_noise": {
        32: (1.26, 2.56, 3.86, 6.48, 9.06),
        64: (1.26, 2.56, 6.48, 10.38, 18.01),
        224: (3.86, 7.82, 11.63, 21.82, 34.37),
        299: (5.14, 9.06, 12.83, 23.07, 35.61),
    },
    "speckle_noise": {
        32: (5.28, 8.65, 10.30, 13.55, 16.71),
        64: (12.75, 16.71, 20.55, 24.27, 27.89),
        224: (12.75, 16.71, 27.89, 34.68, 43.54),
        299: (13.55, 17.49, 28.59, 35.32, 44.07),
    },
}


@dataclass(frozen=True)
class Given:
    """Draws to be made."""

    draws: Tensor

    def parts(self, images: Tensor) -> list[tuple[Tensor, Given]]:
        return [(images, self)]

    def noise(self, *shape: int) -> Tensor:
        return self.draws.float()

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return self.draws.clone()


@pytest.mark.parametrize("name", STRENGTHS)
def test_each_size_has_its_severities(name: str) -> None:
    images = pictures(8, 64, 64)
    for table, published in STRENGTHS[name].items():
        corrupted = [Corrupt(name, severity, table=table)(images) for severity in SEVERITIES]
        strengths = [float((each.float() - images).abs().mean()) for each in corrupted]
        assert strengths == pytest.approx(published, rel=0.012 if name != "impulse_noise" else 0.1)


@pytest.mark.parametrize(
    ("name", "sigmas"),
    [("gaussian_noise", (0.08, 0.12, 0.18, 0.26, 0.38)), ("speckle_noise", (0.15, 0.20, 0.35, 0.45, 0.60))],
)
def test_noise_is_normal_and_truncated(name: str, sigmas: tuple[float, ...]) -> None:
    levels = torch.tensor([20, 128, 240], dtype=torch.uint8)
    images = levels[:, None, None].expand(1, 3, 200, 150)
    for severity, sigma in zip(SEVERITIES, sigmas, strict=True):
        noisy = Corrupt(name, severity, table=224)(images)[0].flatten(1).numpy()
        for level, values in zip(levels.tolist(), noisy, strict=True):
            scale = sigma * (255 if name == "gaussian_noise" else level)
            expected = stats.norm.cdf((np.arange(1, 256) - level) / scale)  # P(value <= 0), ..., P(value <= 254)
            seen = np.bincount(values, minlength=256).cumsum()[:-1] / values.size
            assert np.abs(seen - expected).max() * values.size**0.5 < 1.95  # Kolmogorov-Smirnov at 0.1 %


@pytest.mark.parametrize("name", ["gaussian_noise", "speckle_noise"])
def test_noise_of_given_draws_is_that_of_the_published_code(name: str) -> None:
    images = pictures(1, 90, 70)
    draws = torch.randn(1, 3, 90, 70, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    class Rng:
        def normal(self, size: tuple[int, ...], scale: float) -> np.ndarray:
            return scale * draws[0].permute(1, 2, 0).numpy()

    expected = reference.REFERENCE[name](pixels(images)[0], Rng(), 0.2).astype(np.uint8)
    noisy = CORRUPTIONS[name].function(images, Given(draws), 0.2).clamp(0, 255).to(torch.uint8)
    differences = np.abs(np.subtract(pixels(noisy)[0], expected, dtype=int))
    assert differences.max() <= 1
    assert (differences > 0).mean() < 1e-3  # float32 on the boundary between two grey levels


@pytest.mark.parametrize("photons", [3, 12, 60, 500])
def test_shot_noise_inverts_the_distribution_of_poisson(photons: int) -> None:
    levels = torch.arange(256, dtype=torch.uint8)[:, None].expand(1, 3, 256, 40).contiguous()
    draws = torch.rand(1, 3, 256, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    draws[..., 0], draws[..., 1] = 2**-20, 1 - 2**-20
    noisy = CORRUPTIONS["shot_noise"].function(levels, Given(draws), photons)
    counts = stats.poisson.ppf(draws.numpy(), levels.numpy() / 255 * photons)
    np.testing.assert_array_equal(noisy.numpy(), (np.clip(counts / photons, 0, 1) * 255).astype(np.uint8))


def test_shot_noise_has_the_published_law_at_every_level() -> None:
    levels = np.arange(256)
    images = torch.arange(256, dtype=torch.uint8)[:, None].expand(1, 3, 256, 500).contiguous()
    for severity, photons in zip(SEVERITIES, (60, 25, 12, 5, 3), strict=True):
        noisy = Corrupt("shot_noise", severity, table=224)(images)[0].transpose(0, 1).flatten(1).numpy()
        counts = np.arange(photons + 1)
        shades = (counts / photons * 255).astype(np.uint8)
        seen = np.stack([(noisy == shade).sum(1) for shade in shades], 1)
        assert (seen.sum(1) == 1500).all()
        shares = stats.poisson.pmf(counts, levels[:, None] / 255 * photons)
        shares[:, -1] += 1 - shares.sum(1)
        often = shares * 1500 >= 5
        squares = np.where(often, (seen - shares * 1500) ** 2 / np.maximum(shares * 1500, 1), 0)
        freedom = often.sum(1) - 1
        assert stats.chi2.sf(squares.sum(), freedom.sum()) > 1e-3
        assert stats.chi2.sf(squares.sum(1)[1:], freedom[1:]).min() > 1e-6


@pytest.mark.parametrize(
    ("table", "shares"),
    [
        (32, (0.01, 0.02, 0.03, 0.05, 0.07)),
        (64, (0.01, 0.02, 0.05, 0.08, 0.14)),
        (224, (0.03, 0.06, 0.09, 0.17, 0.27)),
        (299, (0.04, 0.07, 0.10, 0.18, 0.28)),
    ],
)
def test_impulses_hit_each_channel_by_itself_and_are_half_white(table: int, shares: tuple[float, ...]) -> None:
    images = torch.full((2, 3, 150, 150), 100, dtype=torch.uint8)
    for severity, share in zip(SEVERITIES, shares, strict=True):
        noisy = Corrupt("impulse_noise", severity, table=table)(images, [1, 2])
        assert set(noisy.unique().tolist()) == {0, 100, 255}
        for happened, probability in [
            (noisy != 100, share),
            (noisy == 0, share / 2),
            (noisy == 255, share / 2),
            ((noisy != 100).any(1), 1 - (1 - share) ** 3),
            ((noisy == 255).all(1) | (noisy == 0).all(1), 2 * (share / 2) ** 3),
        ]:
            deviation = (probability * (1 - probability) / happened.numel()) ** 0.5
            assert abs(float(happened.double().mean()) - probability) < 4 * deviation
