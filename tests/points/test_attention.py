"""Attention between all points, against softmax with all weights in memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modernet.points import attention as module
from modernet.points.attention import attention


def inputs(n: int = 50) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries and keys of 2 channels a head, and values of 5, for 3 heads; keys are a slice of more channels."""
    generator = torch.Generator().manual_seed(0)
    q, keys, v = (torch.randn(2, n, width, dtype=torch.float64, generator=generator) for width in (6, 8, 15))
    return q.requires_grad_(), keys[..., 1:7].requires_grad_(), v.requires_grad_()


def explicit(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    mixed = []
    for one_q, one_k, one_v in zip(*(x.chunk(heads, -1) for x in (q, k, v)), strict=True):
        weights = (one_q @ one_k.mT / one_q.shape[-1] ** 0.5).softmax(-1)
        mixed.append(weights @ one_v)
    return torch.cat(mixed, -1)


@pytest.mark.parametrize(("widest", "at_once"), [(64, 0), (4, 1), (4, 3 * 50 * 7), (4, 2**20)])
def test_one_call_and_blocks_of_any_size_give_softmax_attention_and_its_gradients(
    widest: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WIDEST", widest)
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    found, expected = attention(*inputs(), 3), explicit(*inputs(), 3)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    grad = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for x, y in zip(
        torch.autograd.grad(attention(*(arguments := inputs()), 3), arguments, grad),
        torch.autograd.grad(explicit(*(arguments := inputs()), 3), arguments, grad),
        strict=True,
    ):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


def test_wide_values_under_autocast_and_in_bfloat16_are_attention_too() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 30, width, generator=generator) for width in (4, 4, 2 * 65))
    expected = explicit(q, k, v, 2)
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(q, k, v, 2)
    torch.testing.assert_close(found.float(), expected, rtol=0.02, atol=0.02)
    found = attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), 2)
    torch.testing.assert_close(found.float(), expected, rtol=0.02, atol=0.02)


def test_keys_may_be_wider_than_values() -> None:
    v, _, q = inputs()
    torch.testing.assert_close(attention(q, q, v, 3), explicit(q, q, v, 3), rtol=1e-12, atol=1e-12)
