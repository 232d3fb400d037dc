"""Luna: packing, unpacking and what is carried."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.luna import LunaBlock, LunaConfig, LunaEncoder
from modernet.sequences.network import sincos

CONFIG = LunaConfig(width=16, heads=2, packed=6, depth=2, mlp_width=8)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def encoder() -> LunaEncoder:
    torch.manual_seed(0)
    return LunaEncoder(CONFIG).double()


@torch.no_grad()
def test_a_layer_packs_then_unpacks() -> None:
    torch.manual_seed(0)
    block = LunaBlock(CONFIG, last=False).double()
    x, p = random(3, 20, 16), random(3, 6, 16, seed=1)
    mask = torch.arange(20) < torch.tensor([[20], [7], [1]])

    def attend(queries: Tensor, context: Tensor, weights: Any, seen: Tensor | None) -> Tensor:
        everything = (queries @ weights.q.weight.T, *(context @ matrix.T for matrix in weights.kv.weight.chunk(2)))
        heads = []
        for q, k, v in zip(*(each.split(8, -1) for each in everything), strict=True):  # two heads of 8 channels
            logits = q @ k.mT / 8**0.5
            weight = (logits if seen is None else logits.masked_fill(~seen[:, None], -torch.inf)).softmax(-1)
            heads.append(weight @ v)
        return torch.cat(heads, -1)

    packed = attend(p, x, block.pack, mask)
    hidden = F.layer_norm(x + attend(x, packed, block.unpack, None) @ block.out.weight.T, (16,))
    expected = F.layer_norm(hidden + block.mlp(hidden), (16,)), F.layer_norm(p + packed, (16,))
    torch.testing.assert_close(block(x, p, mask), expected, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_what_is_packed_is_carried_to_the_next_layer() -> None:
    network, x = encoder(), random(2, 20, 16)
    seen: list[Tensor] = []
    network.blocks[1].register_forward_pre_hook(lambda block, inputs: seen.append(inputs[1]))
    network(x, None)
    network(2 * x + random(2, 20, 16, seed=1), None)
    assert seen[0].shape == (2, 6, 16)
    assert (seen[0] - seen[1]).abs().max() > 1e-3  # it depends on x


@torch.no_grad()
def test_the_first_layer_packs_into_normed_numbers_with_positions_and_reads_a_normed_input() -> None:
    network, x = encoder(), random(2, 20, 16)
    seen: list[tuple[Tensor, ...]] = []
    network.blocks[0].register_forward_pre_hook(lambda block, inputs: seen.append(inputs))
    network(x, None)
    torch.testing.assert_close(seen[0][0], F.layer_norm(x, (16,)))
    p = F.layer_norm(4 * network.p + sincos(6, 16), (16,))
    torch.testing.assert_close(seen[0][1], p.expand(2, -1, -1))


def test_branches_are_dropped_in_training() -> None:
    torch.manual_seed(0)
    block = LunaBlock(replace(CONFIG, dropout=1.0), last=False).double()
    x, p = random(3, 20, 16), random(3, 6, 16, seed=1)
    found, carried = block(x, p, None)
    torch.testing.assert_close(found, F.layer_norm(F.layer_norm(x, (16,)), (16,)))
    torch.testing.assert_close(carried, F.layer_norm(p, (16,)))


def test_begins_with_the_published_spread() -> None:
    p = LunaEncoder(LunaConfig()).p.detach()
    assert p.shape == (256, 128)
    assert float(p.std()) == pytest.approx(128**-0.5, rel=0.05)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"packed": 0}, "packed is 0; give 1"),
        ({"qkv_width": 64}, "qkv_width is 64; Luna"),
        ({"heads": 3}, "cannot be divided into 3 heads"),
        ({"causal": True}, "leave out causal"),
    ],
)
def test_says_which_values_are_possible(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LunaConfig(**fields)


def test_an_encoder_is_made_by_its_config() -> None:
    assert isinstance(CONFIG.encoder(SequenceInputs(20, vocabulary=5)), LunaEncoder)
