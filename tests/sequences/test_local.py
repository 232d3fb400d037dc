from __future__ import annotations

import pytest
import torch

from explicit_attention import assert_is_attention, index, mixer, projections, some_padding
from modernet.errors import InputError


@pytest.mark.parametrize("n", [24, 21, 3, 1])
@pytest.mark.parametrize("causal", [False, True])
def test_local_is_attention_under_a_block_diagonal_mask(n: int, causal: bool) -> None:
    (q, k, v), mask, (query, key) = projections(n), some_padding(n), index(n)
    seen = query // 6 == key // 6
    if causal:
        seen = seen & (key <= query)
    assert_is_attention(mixer("local", 24, block=6, causal=causal).mix(q, k, v, mask), q, k, v, seen, mask)


@pytest.mark.parametrize("n", [24, 21, 3, 1])
def test_the_arenas_local_sees_the_steps_equal_modulo_the_number_of_blocks(n: int) -> None:
    (q, k, v), mask, (query, key) = projections(n), some_padding(n), index(n)
    seen = query % 5 == key % 5  # 24 steps are 4 blocks of 6, and one more
    assert_is_attention(mixer("local_lra", 24, block=6).mix(q, k, v, mask), q, k, v, seen, mask)


def test_the_arenas_local_is_local_attention_after_a_permutation() -> None:
    q, k, v = projections(24)
    order = torch.arange(24).view(6, 4).T.flatten()  # 0 4 8 ... 1 5 9 ...
    strided = mixer("local_lra", 23, block=6).mix(q, k, v, None)
    local = mixer("local", 24, block=6).mix(q[:, :, order], k[:, :, order], v[:, :, order], None)
    torch.testing.assert_close(strided[:, :, order], local)


def test_a_block_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="block is 0; give 1 or more"):
        mixer("local", 24, block=0)


def test_the_arenas_local_has_no_causal_form() -> None:
    with pytest.raises(InputError, match="no causal form; leave out causal"):
        mixer("local_lra", 24, causal=True)
