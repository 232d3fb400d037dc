from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from explicit_attention import assert_is_attention, index, mixer, projections, some_padding
from modernet.errors import InputError


@pytest.mark.parametrize("n", [24, 21, 3, 1])
@pytest.mark.parametrize("window", [2, 7, 8, 100])
@pytest.mark.parametrize("global_steps", [0, 2])
def test_longformer_is_attention_to_a_band_and_the_global_steps(n: int, window: int, global_steps: int) -> None:
    (q, k, v), mask, (query, key) = projections(n), some_padding(n), index(n)
    seen = ((query - key).abs() <= window // 2) | (key < global_steps)
    mixed = mixer("longformer", 24, window=window, global_steps=global_steps).mix(q, k, v, mask)
    assert_is_attention(mixed, q, k, v, seen, mask)


def test_a_window_of_twice_the_length_is_full_attention() -> None:
    q, k, v = projections(24)
    mixed = mixer("longformer", 24, window=48, global_steps=0).mix(q, k, v, None)
    torch.testing.assert_close(mixed, F.scaled_dot_product_attention(q, k, v), rtol=1e-12, atol=1e-12)


def test_global_steps_see_all_through_projections_of_their_own() -> None:
    longformer = mixer("longformer", 24, window=4, global_steps=2)
    x = torch.randn(2, 24, 16, dtype=torch.float64)
    q, k, v = longformer.split(longformer.global_qkv(x))
    expected = longformer.join(F.scaled_dot_product_attention(q, k, v))
    band = longformer.join(longformer.mix(*longformer.split(longformer.qkv(x)), None))
    mixed = longformer(x, None)
    torch.testing.assert_close(mixed[:, :2], expected[:, :2])
    torch.testing.assert_close(mixed[:, 2:], band[:, 2:])


@pytest.mark.parametrize(("window", "left", "right"), [(8, 3, 4), (7, 3, 3), (2, 0, 1)])
def test_the_arenas_window_has_one_step_less_on_the_left_and_nothing_global(window: int, left: int, right: int) -> None:
    (q, k, v), mask, (query, key) = projections(24), some_padding(24), index(24)
    seen = (key >= query - left) & (key <= query + right)
    arena = mixer("longformer_lra", 24, window=window, pool="cls")
    assert_is_attention(arena.mix(q, k, v, mask), q, k, v, seen, mask)
    assert sum(p.numel() for p in arena.parameters()) == 4 * 16 * 16


def test_a_window_without_a_neighbour_is_refused() -> None:
    with pytest.raises(InputError, match="window is 1; give 2 or more"):
        mixer("longformer", 24, window=1)
