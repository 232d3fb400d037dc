from __future__ import annotations

from typing import Any

import pytest
import torch

from layers.state_space.dense import powers_kernel
from modernet.errors import InputError
from modernet.layers.state_space import DPLR_STARTS, DplrKernel
from modernet.models import create_model
from modernet.models.s4nd_convnext import S4ND


def axis_kernel(layer: S4ND, axis: int) -> DplrKernel:
    """Return the kernel of an axis as a layer of its own."""
    kernel = DplrKernel(3, DPLR_STARTS["fout"](4), layer.length, sides=2).double()
    with torch.no_grad():
        for name in ("log_decay", "frequency", "b", "p"):
            getattr(kernel, name).copy_(getattr(layer, name)[axis : axis + 1])
        kernel.log_dt.copy_(layer.log_dt[axis])
        kernel.c.copy_(layer.c[2 * axis : 2 * axis + 2])
    return kernel


@pytest.mark.parametrize("size", [(5, 7), (8, 3), (9, 8), (1, 1)])
@torch.no_grad()
def test_s4nd_is_the_convolution_with_a_product_of_kernels(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = S4ND(3, 8, state=4).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    taps = []
    for axis, length in enumerate(size):
        kernel = axis_kernel(layer, axis)
        later, earlier = powers_kernel(kernel, kernel._output(), length)
        taps.append(torch.cat([earlier.flip(-1), later], -1))  # lags -length to length - 1
    spectrum = torch.fft.fft2(taps[0][:, :, None] * taps[1][:, None, :], s=[4 * n for n in size])
    y = torch.fft.ifft2(torch.fft.fft2(x, s=[4 * n for n in size]) * spectrum).real
    height, width = size
    expected = y[..., height : 2 * height, width : 2 * width] + layer.d[:, None, None] * x
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-9)


def test_kernels_are_one_function_at_every_size() -> None:
    torch.manual_seed(0)
    layer = S4ND(3, 8, state=4).double()
    x = torch.zeros(1, 3, 20, 20, dtype=torch.float64)
    x[..., 9, 9] = 1
    small, large = layer(x[..., 5:13, 5:13]), layer(x)
    torch.testing.assert_close(large[..., 5:13, 5:13], small, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel_sizes": (9,)}, "as large as the map; leave out kernel_sizes and small_kernel"),
        ({"kernel_lengths": (8, 8)}, r"kernel_lengths is \(8, 8\); give a number above 0 for each of 4 stages"),
        ({"state": 3}, "the state has 3 numbers; give an even number above 0"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model("s4nd_convnext_test", **fields)
