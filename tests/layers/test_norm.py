from __future__ import annotations

import torch

from modernet.layers import LayerNorm2d


def test_layer_norm_2d_equals_the_formula_over_channels() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64) * 3 + 1
    norm = LayerNorm2d(5).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    centred = x - x.mean(1, keepdim=True)
    standard = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    expected = standard * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)


def test_layer_norm_2d_keeps_channels_last_memory() -> None:
    x = torch.randn(2, 5, 3, 4).contiguous(memory_format=torch.channels_last)
    assert LayerNorm2d(5)(x).is_contiguous(memory_format=torch.channels_last)
