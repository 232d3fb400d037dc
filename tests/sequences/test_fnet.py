"""FNet's transform against cosines and sines, at the length of each sequence."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.fnet import FNetConfig, FourierMixing, fourier

SHAPES = [(12, 8), (13, 7), (9, 6), (1, 5), (5, 1)]


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def angles(n: int) -> Tensor:
    steps = torch.arange(n, dtype=torch.float64)
    return 2 * math.pi / n * steps[:, None] * steps


@pytest.mark.parametrize(("n", "c"), SHAPES)
def test_the_transform_is_of_cosines_minus_that_of_sines(n: int, c: int) -> None:
    x, steps, channels = random(2, n, c), angles(n), angles(c)
    expected = steps.cos() @ x @ channels.cos() - steps.sin() @ x @ channels.sin()
    torch.testing.assert_close(fourier(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n", "c"), SHAPES)
def test_twice_gives_the_sum_of_the_input_and_its_reverse(n: int, c: int) -> None:
    x = random(2, n, c)
    reverse = x.flip(1, 2).roll((1, 1), (1, 2))  # the first step and channel stay where they are
    torch.testing.assert_close(fourier(fourier(x)), n * c / 2 * (x + reverse), rtol=0, atol=1e-11)


def test_the_real_part_is_taken_once() -> None:
    x = random(1, 12, 8)
    each = torch.fft.fft(torch.fft.fft(x, dim=2).real, dim=1).real
    assert (fourier(x) - each).abs().max() > 1


def test_each_sequence_is_transformed_without_its_padding() -> None:
    x, lengths = random(4, 12, 6), torch.tensor([12, 5, 0, 5])
    mask = torch.arange(12) < lengths[:, None]
    mask[3] = torch.tensor([1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1]).bool()  # padding in between
    y = FourierMixing()(x, mask)
    for row, steps, found in zip(x, mask, y, strict=True):
        if steps.any():
            torch.testing.assert_close(found[steps], fourier(row[steps][None])[0], rtol=0, atol=1e-12)
        assert not found[~steps].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_transformed_in_single(dtype: torch.dtype) -> None:
    x = random(2, 16, 8).to(dtype)
    assert (fourier(x) == fourier(x.float()).to(dtype)).all()


@torch.no_grad()
def test_blocks_norm_the_sum_of_a_branch_and_its_input() -> None:
    torch.manual_seed(0)
    encoder = FNetConfig(width=16, depth=2).encoder(SequenceInputs(20, vocabulary=5)).double()
    y = x = random(2, 20, 16)
    for block in encoder.blocks:
        for norm in (block.norm1, block.norm2):
            torch.nn.init.normal_(norm.weight)
            torch.nn.init.normal_(norm.bias)
        y = F.layer_norm(y + fourier(y), (16,), block.norm1.weight, block.norm1.bias)
        y = F.layer_norm(y + block.mlp(y), (16,), block.norm2.weight, block.norm2.bias)
    torch.testing.assert_close(encoder(x, None), y, rtol=1e-9, atol=1e-9)


def test_branches_are_dropped_in_training() -> None:
    encoder = FNetConfig(width=16, depth=1, dropout=1.0).encoder(SequenceInputs(20, vocabulary=5)).double()
    x = random(2, 20, 16)
    normed = F.layer_norm(F.layer_norm(x, (16,)), (16,))
    torch.testing.assert_close(encoder(x, None), normed, rtol=1e-9, atol=1e-9)


def test_has_no_causal_form() -> None:
    with pytest.raises(InputError, match="leave out causal"):
        FNetConfig(causal=True)
