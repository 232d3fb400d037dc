from __future__ import annotations

import pytest
import torch
from torch import Tensor

from explicit_attention import assert_is_attention, index, mixer, projections, some_padding
from modernet.errors import InputError
from modernet.sequences.sparse import SparseAttention


def seen_steps(sparse: SparseAttention, n: int) -> Tensor:
    """Return which values reach which step, bool (n, n)."""
    q, k, _ = projections(n)
    values = torch.eye(n, dtype=torch.float64).expand(2, 2, n, n)
    return sparse.mix(q, k, values, None)[0, 0] > 0


@pytest.mark.parametrize("n", [24, 21, 3, 1])
@pytest.mark.parametrize("causal", [False, True])
def test_sparse_is_attention_to_the_own_block_and_the_ends_of_all(n: int, causal: bool) -> None:
    (q, k, v), mask, (query, key) = projections(n), some_padding(n), index(n)
    seen = (query // 6 == key // 6) | (key % 6 >= 4)
    if causal:
        seen = seen & (key <= query)
    mixed = mixer("sparse", 24, block=6, summary=2, causal=causal).mix(q, k, v, mask)
    assert_is_attention(mixed, q, k, v, seen, mask)


def test_a_step_sees_its_block_and_c_steps_of_each_other() -> None:
    assert (seen_steps(mixer("sparse", 24, block=6, summary=2), 24).sum(1) == 6 + 3 * 2).all()
    causal = seen_steps(mixer("sparse", 24, block=6, summary=2, causal=True), 24)
    assert causal.sum(1).tolist() == [place + 1 + 2 * block for block in range(4) for place in range(6)]


@pytest.mark.parametrize("n", [24, 21, 3])
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_the_arenas_sparse_is_causal_and_has_the_first_columns_too(n: int, pool: str) -> None:
    (q, k, v), mask, (query, key) = projections(n), some_padding(n), index(n)
    first = int(pool == "cls")  # the added step is outside of the pattern, and open
    place = (key - first) % 6
    seen = (((query - first) // 6 == (key - first) // 6) | (place == 0) | (place >= 4)) & (key <= query)
    if first:
        seen = seen | (query == 0) | (key == 0)
    mixed = mixer("sparse_lra", 24, block=6, summary=2, pool=pool).mix(q, k, v, mask)
    assert_is_attention(mixed, q, k, v, seen, mask)


def test_the_arenas_sparse_is_not_causal_for_its_added_step() -> None:
    with pytest.raises(InputError, match="leave out causal, or use sparse"):
        mixer("sparse_lra", 24, causal=True)
