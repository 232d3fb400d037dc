"""Linear attention against its definition, and its recurrent form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modernet.errors import InputError
from modernet.sequences.linear import LinearAttention, LinearConfig, linear_attention

STEPS = 150  # two chunks and a part


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def mixer(causal: bool) -> LinearAttention:
    torch.manual_seed(0)
    return LinearAttention(LinearConfig(width=24, heads=3, causal=causal)).double()


@pytest.mark.parametrize("causal", [False, True])
def test_is_a_mean_of_values_weighted_by_products_of_features(causal: bool) -> None:
    q, k = random(2, 3, STEPS, 8).exp(), random(2, 3, STEPS, 8, seed=1).exp()
    v = random(2, 3, STEPS, 5, seed=2)
    weights = q @ k.mT
    weights = weights.tril() if causal else weights
    expected = (weights / weights.sum(-1, keepdim=True)) @ v
    torch.testing.assert_close(linear_attention(q, k, v, causal=causal), expected, rtol=1e-12, atol=1e-12)


def test_the_features_are_elu_plus_one() -> None:
    q, k, v = (random(1, 2, 9, 4, seed=seed) for seed in range(3))
    weights = (torch.where(q > 0, q + 1, q.exp())) @ (torch.where(k > 0, k + 1, k.exp())).mT
    expected = (weights / weights.sum(-1, keepdim=True)) @ v
    torch.testing.assert_close(mixer(causal=False).mix(q, k, v, None), expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_the_recurrent_form_equals_the_causal_one() -> None:
    attention, x = mixer(causal=True), random(2, STEPS, 24)
    state, steps = attention.initial_state(2), []
    for step in x.unbind(1):
        y, state = attention.step(step, state)
        steps.append(y)
    torch.testing.assert_close(torch.stack(steps, 1), attention(x, None), rtol=1e-12, atol=1e-12)
    assert state.shape == (2, 3, 8, 9)


def test_only_causal_attention_goes_step_by_step() -> None:
    with pytest.raises(InputError, match="cannot go step by step; give causal=True"):
        mixer(causal=False).initial_state(1)


def test_is_zero_where_all_weights_are() -> None:
    q = torch.zeros(1, 1, 3, 2, requires_grad=True)
    y = linear_attention(q, torch.ones(1, 1, 3, 2), torch.ones(1, 1, 3, 2))
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert not y.any()
    assert q.grad is not None
    assert q.grad.isfinite().all()
