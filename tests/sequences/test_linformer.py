"""The Linformer against full attention, and the Arena's variant."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.linformer import LinformerAttention, LinformerConfig, linformer_lra

STEPS = 24


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def attention(rank: int) -> LinformerAttention:
    torch.manual_seed(0)
    return LinformerAttention(LinformerConfig(width=16, heads=2, rank=rank), STEPS).double()


@torch.no_grad()
def test_with_identities_as_projections_it_is_full_attention() -> None:
    mixer = attention(rank=STEPS)
    mixer.projection.copy_(torch.eye(STEPS))
    q, k, v = (random(3, 2, STEPS, 8, seed=seed) for seed in range(3))
    expected = F.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(mixer.mix(q, k, v, None), expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_attends_to_projected_keys_and_values() -> None:
    mixer = attention(rank=5)
    q, k, v = (random(3, 2, STEPS, 8, seed=seed) for seed in range(3))
    keys, values = (
        torch.einsum("rn,bhnd->bhrd", matrix, x) for matrix, x in zip(mixer.projection, (k, v), strict=True)
    )
    weights = (q @ keys.mT * 8**-0.5).softmax(-1)
    y = mixer.mix(q, k, v, None)
    torch.testing.assert_close(y, weights @ values, rtol=1e-12, atol=1e-12)
    assert (y <= values.amax(2, keepdim=True)).all()  # a convex mixture
    assert (y >= values.amin(2, keepdim=True)).all()


@torch.no_grad()
def test_a_shorter_sequence_uses_the_first_columns() -> None:
    mixer, x = attention(rank=5), random(1, 10, 16)
    before = mixer(x, None)
    mixer.projection[..., 10:] = 7
    assert (mixer(x, None) == before).all()


def test_the_arenas_has_one_projection_of_rank_16() -> None:
    mixer = linformer_lra().mixer(SequenceInputs(100, vocabulary=5), 0)
    assert isinstance(mixer, LinformerAttention)
    assert mixer.projection.shape == (1, 16, 100)
    assert LinformerAttention(LinformerConfig(), 100).projection.shape == (2, 256, 100)


def test_a_linformer_needs_a_rank() -> None:
    with pytest.raises(InputError, match="rank is 0; give 1 or more"):
        LinformerConfig(rank=0)
