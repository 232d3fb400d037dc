"""Long convolutions against their definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modernet.layers.state_space import convolution, long_convolution


def signals(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("length", [1, 2, 7, 30])
def test_it_is_the_sum_over_all_steps(length: int) -> None:
    x, kernel = signals(2, length, 3), signals(2, 3, length)
    earlier, later = torch.zeros_like(x), torch.zeros_like(x)
    for t in range(length):
        for s in range(length):
            if s <= t:
                earlier[:, t] += kernel[0, :, t - s] * x[:, s]
            else:
                later[:, t] += kernel[1, :, s - t - 1] * x[:, s]
    torch.testing.assert_close(long_convolution(x, kernel[:1]), earlier, rtol=0, atol=1e-12)
    torch.testing.assert_close(long_convolution(x, kernel), earlier + later, rtol=0, atol=1e-12)


def test_reversing_the_signal_and_exchanging_the_kernels_reverses_the_result_one_step_later() -> None:
    x, kernel = signals(2, 20, 3), signals(2, 3, 20)
    y, reverse = long_convolution(x, kernel), long_convolution(x.flip(1), kernel.flip(0)).flip(1)
    torch.testing.assert_close(reverse[:, 1:], y[:, :-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("at_once", [1, 2**21])
def test_gradients_are_right_however_many_signals_are_transformed_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "_AT_ONCE", at_once)
    x, kernel = signals(3, 5, 2).requires_grad_(), signals(2, 2, 5).requires_grad_()
    assert torch.autograd.gradcheck(long_convolution, (x, kernel))


def test_half_precision_is_transformed_in_float32() -> None:
    x, kernel = signals(2, 20, 3), signals(2, 3, 20)
    y = long_convolution(x.bfloat16(), kernel.float())
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.double(), long_convolution(x.bfloat16().double(), kernel), rtol=0.01, atol=0.01)
