from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from explicit_attention import mixer, projections, some_padding
from modernet.errors import InputError
from modernet.sequences.sinkhorn import doubly_stochastic


@pytest.mark.parametrize(("iterations", "error"), [(8, 1e-4), (20, 1e-10)])
def test_rows_and_columns_come_to_sum_to_1(iterations: int, error: float) -> None:
    logits = torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shares = doubly_stochastic(logits, iterations)
    assert (shares.sum(0) - 1).abs().max() < 1e-14
    assert (shares.sum(1) - 1).abs().max() < error


def test_blocks_without_a_step_are_sorted_apart() -> None:
    sinkhorn = mixer("sinkhorn", 24, block=4, iterations=30)
    x = torch.randn(2, 2, 6, 8, dtype=torch.float64)
    exists = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    shares = sinkhorn.permutation(x, exists)
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 2, 6, dtype=torch.float64))
    torch.testing.assert_close(shares.sum(-2), torch.ones(2, 2, 6, dtype=torch.float64))
    assert not shares[1, :, :4, 4:].any()
    torch.testing.assert_close(shares[1, :, :4, :4], sinkhorn.permutation(x[:, :, :4], exists[:, :4])[1])


@pytest.mark.parametrize("n", [24, 16])
def test_a_block_that_stays_attends_to_itself_twice(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (q, k, v), sinkhorn = projections(n), mixer("sinkhorn", 24, block=4)
    monkeypatch.setattr(
        sinkhorn, "permutation", lambda x, exists: torch.eye(x.shape[2], dtype=x.dtype).expand(2, 2, -1, -1)
    )
    local = mixer("local", 24, block=4).mix(q, k, v, None)
    torch.testing.assert_close(sinkhorn.mix(q, k, v, None), local, rtol=1e-12, atol=1e-12)


def test_a_block_sees_the_one_that_is_sorted_to_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    (q, k, v), sinkhorn = projections(12), mixer("sinkhorn", 12, block=4)
    goes_to = torch.tensor([1, 2, 0])
    shares = F.one_hot(goes_to).double().expand(2, 2, 3, 3)
    monkeypatch.setattr(sinkhorn, "permutation", lambda x, exists: shares)
    steps = torch.arange(12)
    comes_from = goes_to.argsort()[steps // 4]
    seen = (steps[:, None] // 4 == steps // 4) | (comes_from[:, None] == steps // 4)
    expected = F.scaled_dot_product_attention(q, k, v, seen)
    torch.testing.assert_close(sinkhorn.mix(q, k, v, None), expected, rtol=1e-12, atol=1e-12)


def test_noise_moves_the_permutation_in_training_only() -> None:
    sinkhorn, x, exists = mixer("sinkhorn", 24, block=4), projections(6)[0], torch.ones(2, 6, dtype=torch.bool)
    assert torch.equal(sinkhorn.permutation(x, exists), sinkhorn.permutation(x, exists))
    sinkhorn.train()
    assert not torch.equal(sinkhorn.permutation(x, exists), sinkhorn.permutation(x, exists))


def test_a_block_is_sorted_by_the_sum_of_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    (q, k, v), mask = projections(24), some_padding(24)
    sinkhorn, seen = mixer("sinkhorn", 24, block=4), list[tuple[Tensor, Tensor]]()
    permutation = sinkhorn.permutation
    monkeypatch.setattr(sinkhorn, "permutation", lambda *given: seen.append(given) or permutation(*given))
    sinkhorn.mix(q, k, v, mask)
    ((sums, exists),) = seen
    torch.testing.assert_close(sums, (k * mask[:, None, :, None]).unflatten(2, (6, 4)).sum(3))
    assert exists.tolist() == [[True] * 6, [True] * 4 + [False] * 2]


def test_the_arenas_blocks_leave_room_for_a_step_of_padding() -> None:
    assert [mixer("sinkhorn_lra", steps, block=6).stride for steps in (23, 24)] == [4, 5]


def test_logits_are_divided_by_the_temperature() -> None:
    sinkhorn, x = mixer("sinkhorn", 24, block=4, temperature=0.5, iterations=3), projections(6)[0]
    expected = doubly_stochastic(sinkhorn.sort(x) / 0.5, 3)
    torch.testing.assert_close(sinkhorn.permutation(x, torch.ones(2, 6, dtype=torch.bool)), expected)


def test_the_noise_has_the_spread_of_gumbels_distribution() -> None:
    sinkhorn = mixer("sinkhorn", 8, block=4, temperature=0.5, iterations=30).train()
    x = torch.zeros(4000, 2, 2, 8, dtype=torch.float64)  # equal logits of two blocks
    with torch.no_grad():
        sinkhorn.sort[0].bias.zero_()
        shares = sinkhorn.permutation(x, torch.ones(4000, 2, dtype=torch.bool))
    # the logarithm of the odds is half of (l00 + l11 - l01 - l10) / temperature, of four independent numbers
    noise = 2 * 0.5 * (shares[..., 0, 0] / shares[..., 0, 1]).log()
    assert noise.mean() == pytest.approx(0, abs=4 * (4 * math.pi**2 / 6 / 8000) ** 0.5)
    assert noise.var() == pytest.approx(4 * math.pi**2 / 6, rel=0.1)


def attention_of_the_arena(q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    """Return what the Arena's code makes of q, k and v (b, h, steps of a block, blocks, d).

    Args:
        q: queries.
        k: keys.
        v: values.
        weights: of its sorting network, after the softmax, (b, blocks, h, blocks).
    """
    sorted_k, sorted_v = (torch.einsum("bhskd,bnhl->bhsnd", x, weights) for x in (k, v))
    q, k, v, sorted_k, sorted_v = (x.transpose(2, 3) for x in (q, k, v, sorted_k, sorted_v))
    attended = F.scaled_dot_product_attention(q, k, v) + F.scaled_dot_product_attention(q, sorted_k, sorted_v)
    return attended.transpose(2, 3)


def test_the_arenas_sorted_blocks_are_the_sum_of_all_whatever_its_network_says() -> None:
    q, k, v = projections(24)
    weights = torch.randn(2, 4, 2, 4, dtype=torch.float64).softmax(-1)
    expected = attention_of_the_arena(*(x.unflatten(2, (6, 4)) for x in (q, k, v)), weights).flatten(2, 3)
    mixed = mixer("sinkhorn_lra", 23, block=6).mix(q, k, v, None)  # 23 steps are 4 blocks in the Arena
    torch.testing.assert_close(mixed, expected, rtol=1e-12, atol=1e-12)


def test_the_arenas_sum_leaves_out_padding() -> None:
    q, k, v = projections(24)
    mask = some_padding(24)
    arena = mixer("sinkhorn_lra", 24, block=6)
    torch.testing.assert_close(
        arena.mix(q, k, v, mask)[1, :, :16], arena.mix(*(x[1:, :, :16] for x in (q, k, v)), None)[0]
    )


def test_a_temperature_of_0_is_refused() -> None:
    with pytest.raises(InputError, match=r"temperature is 0.0; give more than 0"):
        mixer("sinkhorn", 24, temperature=0.0)
