"""Nystrom attention against softmax attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.sequences.nystromformer import (
    NystromAttention,
    NystromformerConfig,
    nystrom_attention,
    pseudo_inverse,
    segment_means,
)

CONVERGED = 40


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def queries_keys_and_values(n: int) -> tuple[Tensor, Tensor, Tensor]:
    q = 3 * random(2, 2, n, 16)
    return q, q + 0.1 * random(2, 2, n, 16, seed=1), random(2, 2, n, 16, seed=2)  # each step attends to itself most


def test_with_a_landmark_for_each_step_it_is_softmax_attention() -> None:
    q, k, v = queries_keys_and_values(12)
    expected = F.scaled_dot_product_attention(q, k, v)
    y = nystrom_attention(q, k, v, None, 12, CONVERGED)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-10)


def test_the_published_iterations_leave_an_error() -> None:
    q, k, v = (random(2, 2, 12, 16, seed=seed) for seed in range(3))
    error = (nystrom_attention(q, k, v, None, 12) - F.scaled_dot_product_attention(q, k, v)).abs()
    assert 0.01 < error.max() < 0.5


def test_a_sequence_of_fewer_steps_than_landmarks_has_softmax_attention() -> None:
    q, k, v = queries_keys_and_values(12)
    mask = torch.arange(12) < torch.tensor([[12], [5]])
    y = nystrom_attention(q, k, v, mask, 8, CONVERGED)[1, :, :5]
    expected = F.scaled_dot_product_attention(q[1, :, :5], k[1, :, :5], v[1, :, :5])
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-10)


def test_sequences_of_a_batch_get_what_each_gets_alone() -> None:
    q, k, v = (random(3, 2, 40, 16, seed=seed) for seed in range(3))
    lengths = (40, 23, 5)
    together = nystrom_attention(q, k, v, torch.arange(40) < torch.tensor(lengths)[:, None], 8)
    for i, n in enumerate(lengths):
        one = slice(i, i + 1), slice(None), slice(n)
        alone = nystrom_attention(q[one], k[one], v[one], None, 8)
        torch.testing.assert_close(together[i, :, :n], alone[0], rtol=0, atol=1e-10)


def test_weights_sum_to_one() -> None:
    q, k, _ = queries_keys_and_values(40)
    ones = torch.ones(2, 2, 40, 3, dtype=torch.float64)
    torch.testing.assert_close(nystrom_attention(q, k, ones, None, 8, CONVERGED), ones, rtol=0, atol=1e-9)


def test_landmarks_are_means_of_even_parts() -> None:
    mask = torch.ones(3, 8, dtype=torch.bool)
    mask[1, 6:] = False
    mask[2] = torch.tensor([0, 1, 0, 0, 1, 0, 0, 0]).bool()
    means, used = segment_means(mask, 4, torch.float64)
    x = torch.arange(1.0, 9.0, dtype=torch.float64)
    assert (means @ x).tolist() == [[1.5, 3.5, 5.5, 7.5], [1.5, 3, 4.5, 6], [2, 5, 0, 0]]
    assert used.tolist() == [[True] * 4, [True] * 4, [True, True, False, False]]


def test_the_iteration_converges_to_the_inverse_of_each_matrix() -> None:
    matrices = torch.stack([(4 * torch.eye(9) + scale * random(9, 9)).softmax(-1) for scale in (0.1, 1.0)])
    inverses = pseudo_inverse(matrices, CONVERGED)
    torch.testing.assert_close(inverses, torch.linalg.inv(matrices), rtol=1e-9, atol=1e-9)
    alone = pseudo_inverse(matrices[:1], 6)
    torch.testing.assert_close(pseudo_inverse(matrices, 6)[:1], alone, rtol=1e-12, atol=1e-12)


def test_the_iteration_is_the_papers_from_the_transpose_divided_by_the_largest_sums() -> None:
    a = (2 * random(3, 5, 5)).softmax(-1)
    z = a.mT / torch.linalg.matrix_norm(a, 1)[:, None, None] / torch.linalg.matrix_norm(a, torch.inf)[:, None, None]
    torch.testing.assert_close(pseudo_inverse(a, 0), z, rtol=1e-12, atol=1e-12)
    eye = torch.eye(5, dtype=torch.float64)
    for iterations in (1, 2):
        z = z @ (13 * eye - a @ z @ (15 * eye - a @ z @ (7 * eye - a @ z))) / 4
        torch.testing.assert_close(pseudo_inverse(a, iterations), z, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_a_convolution_of_the_values_is_added() -> None:
    torch.manual_seed(0)
    mixer = NystromAttention(NystromformerConfig(width=32, heads=2, kernel_size=3)).double()
    q, k, v = queries_keys_and_values(12)
    assert mixer.conv.weight.numel() == 2 * 3  # a kernel for each head
    added = mixer.mix(q, k, v, None) - nystrom_attention(q, k, v, None, 64)
    padded, kernel = F.pad(v, (0, 0, 1, 1)), mixer.conv.weight[:, 0, :, 0].T
    expected = sum(kernel[i][:, None, None] * padded[:, :, i : i + 12] for i in range(3))
    torch.testing.assert_close(added, expected, rtol=0, atol=1e-12)


def test_bfloat16_leaves_the_inverse_in_single_precision() -> None:
    torch.manual_seed(0)
    mixer, x = NystromAttention(NystromformerConfig(width=32, heads=2, landmarks=8)), random(2, 40, 32).float()
    with torch.autocast("cpu", torch.bfloat16):
        low = mixer(x, None)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), mixer(x, None), rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("field", "message"),
    [({"landmarks": 0}, "landmarks is 0; give 1"), ({"kernel_size": 4}, "kernel_size is 4; give an odd number")],
)
def test_says_which_values_are_possible(field: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        NystromformerConfig(**field)
