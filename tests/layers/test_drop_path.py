from __future__ import annotations

import pytest
import torch

from modernet.layers import DropPath, drop_path_rates


def test_drop_path_keeps_the_expectation() -> None:
    torch.manual_seed(0)
    out = DropPath(0.3)(torch.ones(20_000, 2, 1, 1))
    assert out.mean().item() == pytest.approx(1.0, abs=0.02)


def test_drop_path_drops_whole_samples() -> None:
    torch.manual_seed(0)
    out = DropPath(0.5)(torch.ones(64, 3, 2, 2)).flatten(1)
    assert set(out[:, 0].tolist()) == {0.0, 2.0}
    assert (out == out[:, :1]).all()


def test_drop_path_is_the_identity_in_evaluation_and_at_rate_0() -> None:
    x = torch.randn(8, 3)
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0)(x) is x


def test_drop_path_keeps_the_dtype() -> None:
    assert DropPath(0.5)(torch.ones(4, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_drop_path_rates_rise_linearly_over_all_stages() -> None:
    rates = drop_path_rates(0.6, (1, 2, 1))
    assert [len(stage) for stage in rates] == [1, 2, 1]
    assert [rate for stage in rates for rate in stage] == pytest.approx([0.0, 0.2, 0.4, 0.6])


def test_a_network_of_one_block_drops_nothing() -> None:
    assert drop_path_rates(0.5, (1,)) == [[0.0]]
