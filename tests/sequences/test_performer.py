"""FAVOR+ against the kernel that it estimates, and the Arena's variants."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.sequences.performer import (
    FavorAttention,
    PerformerConfig,
    ReluAttention,
    draw_directions,
    log_features,
    performer_lra,
    performer_lra_listops,
)

DIM = 16


def random(*shape: int, seed: int = 0, std: float = 1.0) -> Tensor:
    return std * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def estimates(q: Tensor, k: Tensor, directions: Tensor) -> Tensor:
    """Return the estimate of the kernel of every pair, relative to its exact value."""
    products = log_features(q, directions).exp() @ log_features(k, directions).exp().mT / len(directions)
    relative: Tensor = products / (q @ k.mT * DIM**-0.5).exp()
    return relative


def attention(config: PerformerConfig) -> FavorAttention:
    torch.manual_seed(0)
    return FavorAttention(config).double()


@pytest.mark.parametrize("orthogonal", [True, False])
def test_the_kernel_is_estimated_without_bias(orthogonal: bool) -> None:
    torch.manual_seed(1)
    q, k = random(12, DIM, std=0.5), random(12, DIM, seed=1, std=0.5)
    draws = torch.stack(
        [estimates(q, k, draw_directions(256, DIM, orthogonal=orthogonal).double()) for _ in range(400)]
    )
    mean, error = draws.mean(0), draws.std(0) / 400**0.5
    assert error.max() < 0.03
    assert ((mean - 1).abs() / error).max() < 4.5  # of 144 pairs
    assert mean.mean() == pytest.approx(1, abs=4 * float(error.mean()))


def test_the_error_falls_with_the_root_of_the_number_of_features() -> None:
    torch.manual_seed(2)
    q, k = random(32, DIM, std=0.25), random(32, DIM, seed=1, std=0.25)

    def rms(features: int) -> float:
        drawn = [estimates(q, k, draw_directions(features, DIM, orthogonal=False).double()) for _ in range(8)]
        return float((torch.stack(drawn) - 1).square().mean().sqrt())

    assert rms(64) / rms(1024) == pytest.approx(4, rel=0.3)
    assert rms(256) == pytest.approx(0.054, rel=0.3)


def test_directions_are_orthogonal_in_blocks_and_as_long_as_normal_vectors() -> None:
    torch.manual_seed(0)
    directions = draw_directions(16 * 64 + 3, DIM)
    assert directions.shape == (16 * 64 + 3, DIM)
    block = F.normalize(directions[:DIM], dim=-1)
    torch.testing.assert_close(block @ block.T, torch.eye(DIM), rtol=0, atol=1e-5)
    squares = directions.square().sum(-1)
    assert squares.mean() == pytest.approx(DIM, rel=0.05)
    assert squares.var() == pytest.approx(2 * DIM, rel=0.2)  # chi-squared


def test_many_features_give_softmax_attention() -> None:
    q, k, v = (random(1, 2, 20, DIM, seed=seed, std=0.4) for seed in range(3))
    mix = attention(PerformerConfig(width=32, heads=2, features=16384)).eval().mix
    torch.testing.assert_close(mix(q, k, v, None), F.scaled_dot_product_attention(q, k, v), rtol=0, atol=0.01)


def test_large_queries_and_keys_leave_a_mean_of_values() -> None:
    q, k = (random(1, 2, 20, DIM, seed=seed, std=10).float() for seed in range(2))
    mix = attention(PerformerConfig(width=32, heads=2)).float().eval().mix
    torch.testing.assert_close(mix(q, k, torch.ones(1, 2, 20, DIM), None), torch.ones(1, 2, 20, DIM))


def test_a_causal_one_sees_nothing_later() -> None:
    mixer, x = attention(PerformerConfig(width=32, heads=2, causal=True)).eval(), random(1, 100, 32)
    later = torch.cat([x[:, :70], random(1, 30, 32, seed=1)], 1)
    torch.testing.assert_close(mixer(x, None)[:, :70], mixer(later, None)[:, :70], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("redraw", [True, False])
def test_directions_are_redrawn_in_training_alone(redraw: bool) -> None:
    mixer, x = attention(PerformerConfig(width=32, heads=2, redraw=redraw)), random(1, 10, 32)
    assert bool((mixer(x, None) == mixer(x, None)).all()) is not redraw
    before = mixer.eval()(x, None)
    mixer.train()(x, None)
    assert (mixer.eval()(x, None) == before).all()
    assert "directions" in mixer.state_dict()


def test_the_arenas_has_neither_directions_nor_softmax() -> None:
    mixer = performer_lra().mixer(None, 0)  # type: ignore[arg-type]
    assert isinstance(mixer, ReluAttention)
    assert not list(mixer.buffers())
    q, k, v = (random(1, 2, 20, DIM, seed=seed) for seed in range(3))
    weights = (q.clamp(min=0) + 1e-3) @ (k.clamp(min=0) + 1e-3).mT
    expected = weights / weights.sum(-1, keepdim=True) @ v
    torch.testing.assert_close(mixer.mix(q, k, v, None), expected, rtol=1e-12, atol=1e-12)


def test_the_arenas_of_listops_has_two_independent_directions() -> None:
    torch.manual_seed(0)
    mixer = performer_lra_listops().mixer(None, 0)  # type: ignore[arg-type]
    assert isinstance(mixer, FavorAttention)
    assert mixer.directions.shape == (2, 32)
    assert (mixer.directions[0] @ mixer.directions[1]).abs() > 1e-3


def test_a_performer_needs_a_feature() -> None:
    with pytest.raises(InputError, match="features is 0; give 1 or more"):
        PerformerConfig(features=0)
