from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.models import create_model
from modernet.models.rvt import Attention, ConvMLP


@pytest.mark.parametrize("positions", [0, 6])
def test_attention_is_a_softmax_over_optionally_scaled_scores(positions: int) -> None:
    torch.manual_seed(0)
    layer = Attention(8, 2, positions)
    if layer.att_mask is not None:
        nn.init.normal_(layer.att_mask)
    x = torch.randn(1, 2, 3, 8)
    out = torch.zeros(6, 8)
    for head in range(2):
        q, k, v = (
            F.linear(x.reshape(6, 8), layer.qkv.weight[rows], layer.qkv.bias[rows])
            for rows in (slice(8 * part + 4 * head, 8 * part + 4 * head + 4) for part in range(3))
        )
        for query in range(6):
            scores = torch.stack([q[query] @ k[key] / 2 for key in range(6)])
            if layer.att_mask is not None:
                scores = scores / (1 + torch.exp(-layer.att_mask[head, query]))
            out[query, 4 * head : 4 * head + 4] = scores.softmax(0) @ v
    torch.testing.assert_close(layer(x), layer.proj(out).reshape(1, 2, 3, 8), rtol=1e-5, atol=1e-6)


def test_the_mlp_sees_the_eight_positions_around_each() -> None:
    layer = ConvMLP(4).eval()
    x = torch.randn(1, 7, 9, 4)
    changed = x.clone()
    changed[0, 3, 4] += 1
    seen = (layer(changed) != layer(x)).any(-1)[0]
    expected = torch.zeros(7, 9, dtype=torch.bool)
    expected[2:5, 3:6] = True
    assert torch.equal(seen, expected)


def shapes(network: nn.Module, size: int) -> list[tuple[int, ...]]:
    _, maps = network.forward_intermediates(torch.randn(1, 3, size, size))  # type: ignore[operator]
    feature_maps: list[Tensor] = maps
    return [tuple(x.shape[1:]) for x in feature_maps]


def test_the_stages_of_tiny_and_small_have_the_published_shapes() -> None:
    with torch.device("meta"):
        assert shapes(create_model("rvt_tiny"), 224) == [(192, 14, 14), (384, 7, 7)]
        assert shapes(create_model("rvt_small_plus"), 224) == [(384, 14, 14)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depths": (1,)}, "give one number above 0 in each for every stage"),
        ({"heads": (2, 3)}, "give each stage a multiple of the previous one"),
        ({"head_dim": 0}, "head_dim is 0; give 1 or more"),
        ({"scaled_blocks": 2}, "scaled_blocks is 2; give 0 to 1"),
        ({"image_size": 60}, "image_size is 60; give a multiple of 16"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model("rvt_test", **fields)
