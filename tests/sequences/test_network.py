"""The classifier of sequences against PyTorch's Transformer: embedding, positions, blocks, pooling, head, pairs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.sequences.network import SequenceNetwork, sincos
from modernet.sequences.zoo import create_sequence_model

WIDTH, HEADS, HIDDEN, DEPTH, STEPS = 16, 2, 24, 2, 12
LENGTHS = torch.tensor([12, 7, 1])
VALUES = torch.randint(1, 9, (3, STEPS), generator=torch.Generator().manual_seed(0))


def make(inputs: SequenceInputs, name: str = "transformer", **fields: object) -> SequenceNetwork:
    torch.manual_seed(0)
    small = {"width": WIDTH, "depth": DEPTH} | ({"heads": HEADS, "mlp_width": HIDDEN} if name == "transformer" else {})
    network = create_sequence_model(name, inputs, 5, **{**small, **fields}).double()
    for parameter in network.parameters():  # also those that start as 0 or 1
        nn.init.normal_(parameter, std=0.3)
    return network


def positions(steps: int) -> Tensor:
    """Return sin(t / 10000^(2i/c)) in channel 2i and the cosine in the next, number by number."""
    table = torch.empty(steps, WIDTH, dtype=torch.float64)
    for step in range(steps):
        for channel in range(WIDTH):
            angle = torch.tensor(step / 10_000 ** (channel // 2 * 2 / WIDTH), dtype=torch.float64)
            table[step, channel] = angle.cos() if channel % 2 else angle.sin()
    return table


def encoded(network: SequenceNetwork, x: Tensor, lengths: Tensor, *, causal: bool) -> Tensor:
    """Return what PyTorch's pre-norm Transformer with the same weights makes of embedded steps (b, n, c)."""
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, 0.0, "gelu", batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, DEPTH, nn.LayerNorm(WIDTH), enable_nested_tensor=False).double()
    for theirs, ours in zip(encoder.layers, network.encoder.blocks, strict=True):
        zeros = torch.zeros(4 * WIDTH, dtype=torch.float64)  # we have no biases there
        theirs.load_state_dict(
            {
                "self_attn.in_proj_weight": ours.mixer.qkv.weight,
                "self_attn.in_proj_bias": zeros[:-WIDTH],
                "self_attn.out_proj.weight": ours.mixer.out.weight,
                "self_attn.out_proj.bias": zeros[:WIDTH],
                **{f"linear1.{name}": value for name, value in ours.mlp.fc1.state_dict().items()},
                **{f"linear2.{name}": value for name, value in ours.mlp.fc2.state_dict().items()},
                **{f"norm1.{name}": value for name, value in ours.norm1.state_dict().items()},
                **{f"norm2.{name}": value for name, value in ours.norm2.state_dict().items()},
            }
        )
    encoder.norm.load_state_dict(network.encoder.norm.state_dict())
    n = x.shape[1]
    later = torch.ones(n, n, dtype=torch.bool).triu(1) if causal else None
    y: Tensor = encoder(x, mask=later, src_key_padding_mask=torch.arange(n) >= lengths[:, None])
    return y


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pool", ["mean", "cls", "last"])
def test_the_transformer_is_pytorchs_with_sines_and_a_pooled_vector(pool: str, causal: bool) -> None:
    network = make(SequenceInputs(STEPS, vocabulary=9), pool=pool, causal=causal)
    x, lengths = F.embedding(VALUES, network.embedding.weight), LENGTHS
    if pool == "cls":
        x, lengths = torch.cat([network.cls.expand(3, 1, -1), x], 1), lengths + 1
    y = encoded(network, x + positions(x.shape[1]), lengths, causal=causal)
    pooled = torch.stack(
        [
            {"mean": row[:n].mean(0), "cls": row[0], "last": row[n - 1]}[pool]
            for row, n in zip(y, lengths.tolist(), strict=True)
        ]
    )
    first, _, second = network.head
    expected = F.linear(F.relu(F.linear(pooled, first.weight, first.bias)), second.weight, second.bias)
    torch.testing.assert_close(network(VALUES, LENGTHS), expected, rtol=1e-6, atol=1e-6)  # positions are float32
    hidden, _ = network.encode(VALUES, LENGTHS)
    alone = network.encoder(x[:1] + positions(x.shape[1]), None)  # without a mask
    torch.testing.assert_close(alone, hidden[:1], rtol=1e-6, atol=1e-6)


def test_learned_positions_are_added_and_numbers_embedded_linearly() -> None:
    network = make(SequenceInputs(STEPS, channels=3), positions="learned")
    values = torch.randn(3, STEPS, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = F.linear(values, network.embedding.weight, network.embedding.bias) + network.positions
    y = encoded(network, x, LENGTHS, causal=False)
    hidden, mask = network.encode(values, LENGTHS)
    torch.testing.assert_close(hidden[mask], y[mask], rtol=1e-9, atol=1e-9)
    assert mask.sum(1).tolist() == LENGTHS.tolist()


def test_the_added_step_starts_at_0() -> None:
    network = create_sequence_model("transformer", SequenceInputs(STEPS, vocabulary=9), 5, pool="cls")
    assert not network.cls.any()
    assert network.positions.shape == (STEPS + 1, 128)


@pytest.mark.parametrize("width", [16, 7])
def test_positions_of_an_odd_width_are_cut(width: int) -> None:
    angles = torch.arange(5.0)[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
    found = sincos(5, width)
    torch.testing.assert_close(found[:, ::2], angles.sin())
    torch.testing.assert_close(found[:, 1::2], angles.cos()[:, : width // 2])


@pytest.mark.parametrize("name", ["transformer", "s4d_lin"])
def test_a_pair_is_both_vectors_their_product_and_their_difference(name: str) -> None:
    network = make(SequenceInputs(STEPS, vocabulary=9, towers=2), name).eval()
    x, y = network.pooled(VALUES, LENGTHS), network.pooled(VALUES.flip(0), LENGTHS.flip(0))
    expected = network.head(torch.cat([x, y, x * y, x - y], -1))
    torch.testing.assert_close(network(VALUES, LENGTHS, VALUES.flip(0), LENGTHS.flip(0)), expected)


@pytest.mark.parametrize(
    ("name", "fields"), [("transformer", {}), ("s4d_lin", {"norm": "layer", "prenorm": True, "state": 4})]
)
def test_dropout_is_of_every_branch_and_of_the_embedding(name: str, fields: dict[str, object]) -> None:
    inputs = SequenceInputs(STEPS, vocabulary=9)
    everything = make(inputs, name, dropout=1.0, embedding_dropout=0.0, **fields)
    seen: list[Tensor] = []
    everything.encoder.register_forward_pre_hook(lambda encoder, given: seen.append(given[0]))
    hidden, _ = everything.encode(VALUES, LENGTHS)
    torch.testing.assert_close(hidden, everything.encoder.norm(seen[0]))
    assert seen[0].all()

    embedding = make(inputs, name, dropout=0.0, embedding_dropout=1.0, **fields)
    embedding.encoder.register_forward_pre_hook(lambda encoder, given: seen.append(given[0]))
    embedding.encode(VALUES, LENGTHS)
    assert not seen[1].any()
