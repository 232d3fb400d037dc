from __future__ import annotations

from typing import Any

import pytest
import torch

from modernet.errors import InputError
from modernet.models import create_model
from modernet.models.gfnet import GlobalFilter, resample_filter


@pytest.mark.parametrize("side", [6, 5])
def test_the_filter_equals_an_explicit_circular_convolution(side: int) -> None:
    layer = GlobalFilter(2, side).double()
    x = torch.randn(1, side, side, 2, dtype=torch.float64)
    # both transforms are scaled by 1 / sqrt(positions), so the kernel is the unscaled inverse FFT of the filter
    kernel = torch.fft.irfft2(torch.view_as_complex(layer.complex_weight.detach()), s=(side, side), dim=(0, 1))
    expected = torch.zeros_like(x)
    for y in range(side):
        for z in range(side):
            for dy in range(side):
                for dz in range(side):
                    expected[0, y, z] += kernel[dy, dz] * x[0, (y - dy) % side, (z - dz) % side]
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-6)


def test_a_constant_filter_stays_constant_at_every_size() -> None:
    weight = torch.full((4, 3, 2, 2), 0.7)
    resampled = resample_filter(weight, 9, 5)
    assert resampled.shape == (9, 5, 2, 2)
    torch.testing.assert_close(resampled, torch.full((9, 5, 2, 2), 0.7))


def test_resampling_keeps_the_corners() -> None:
    weight = torch.randn(4, 3, 2, 2)
    resampled = resample_filter(weight, 7, 5)
    for new, old in (((0, 0), (0, 0)), ((6, 4), (3, 2)), ((0, 4), (0, 2))):
        torch.testing.assert_close(resampled[new], weight[old])


def test_bfloat16_inputs_are_transformed_in_float32() -> None:
    network = create_model("gfnet_test").eval()
    x = torch.randn(2, 3, 64, 64)
    expected = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        scores = network(x)
    torch.testing.assert_close(scores.float(), expected, rtol=0.05, atol=0.05 * expected.abs().max().item())


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("gfnet_test", {"image_size": 60}, "give a multiple of the patch size"),
        ("gfnet_test", {"depth": 0}, "depth is 0; give 1 or more"),
        ("gfnet_h_test", {"depths": (1, 1)}, "give one number above 0 in each for every stage"),
        ("gfnet_h_test", {"image_size": 48}, "image_size is 48; give a multiple of 32"),
        ("gfnet_h_test", {"layer_scale_init": 0.0}, "layer_scale_init is 0.0; give a number above 0"),
    ],
)
def test_invalid_configs_raise(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model(name, **fields)
