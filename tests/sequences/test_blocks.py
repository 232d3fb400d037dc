"""What models of attention in blocks share."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from explicit_attention import index, projections, some_padding
from modernet.data.sequences.inputs import SequenceInputs
from modernet.sequences.blocks import Keys, attend, blocks, neighbours
from modernet.sequences.zoo import create_sequence_model, sequence_config

LINEAR = (
    "bigbird",
    "bigbird_lra",
    "local",
    "local_lra",
    "longformer",
    "longformer_lra",
    "reformer",
    "sinkhorn_lra",
)
OTHERS = ("reformer_lra", "sinkhorn", "sparse", "sparse_lra", "synthesizer", "synthesizer_dense", "synthesizer_lra")
FIELDS = {"block": 8, "chunk": 8, "window": 16}


def test_blocks_and_their_neighbours() -> None:
    x = torch.arange(1, 6)
    assert blocks(x, 2, -1).tolist() == [[1, 2], [3, 4], [5, 0]]
    assert neighbours(blocks(x, 2, -1), 1, 0, -2).tolist() == [[0, 0, 1, 2], [1, 2, 3, 4], [3, 4, 5, 0]]
    assert neighbours(blocks(x > 3, 2, -1), 0, 1, -2).int().tolist() == [[0, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 0]]


def test_near_and_far_keys_share_one_softmax() -> None:
    q, k, v = projections(12)
    mask, (query, key) = some_padding(12), index(12)
    cut = [blocks(x, 4) for x in (q, k, v)]
    near = Keys(cut[1], cut[2], blocks(mask, 4, -1)[:, None, :, None])
    far = Keys(k[:, :, :2], v[:, :, :2], mask[:, None, None, None, :2] & (torch.arange(3) > 0)[:, None, None])
    mixed = attend(cut[0], near, far)
    seen = (query // 4 == key // 4) | (key < 2)
    expected = F.scaled_dot_product_attention(q, k, v, seen & mask[:, None, None])
    torch.testing.assert_close(mixed[0], expected[0])
    torch.testing.assert_close(mixed[1, :, :8], expected[1, :, :8])
    assert mixed.isfinite().all()


def flops(name: str, n: int) -> int:
    """Return the operations of matrix products in a mixer, for one sequence."""
    known = sequence_config(name)
    config = sequence_config(name, **{field: value for field, value in FIELDS.items() if hasattr(known, field)})
    with torch.device("meta"):
        mixer = config.mixer(SequenceInputs(1024, vocabulary=17), 0).eval()
        x = torch.empty(1, n, 128)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        mixer(x, None)
    return counter.get_total_flops()


@pytest.mark.parametrize("name", LINEAR)
def test_multiplications_are_linear_in_the_length(name: str) -> None:
    short, long = flops(name, 512), flops(name, 1024)
    assert 1.9 < long / short < 2.1
    assert long < flops("transformer", 1024)


@pytest.mark.parametrize("name", [*LINEAR, *OTHERS])
def test_trains_in_bfloat16_with_dropout(name: str) -> None:
    known = sequence_config(name)
    fields = {field: value for field, value in FIELDS.items() if hasattr(known, field)}
    inputs = SequenceInputs(40, channels=2)
    network = create_sequence_model(
        name, inputs, 3, depth=1, width=16, heads=2, mlp_width=16, dropout=0.1, attention_dropout=0.2, **fields
    )
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.randn(3, 40, 2), torch.tensor([40, 9, 1]))
    logits.float().square().sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


DROPPING = {*LINEAR, *OTHERS, "transformer", "linformer", "luna"} - {"bigbird_lra", "reformer_lra"}


@pytest.mark.parametrize("name", sorted(DROPPING))
def test_weights_of_attention_are_dropped_in_training(name: str) -> None:
    network = create_sequence_model(
        name, SequenceInputs(40, channels=2), 3, depth=1, width=16, heads=2, attention_dropout=0.5
    )
    values, lengths = torch.randn(2, 40, 2), torch.tensor([40, 9])
    assert torch.equal(network.eval()(values, lengths), network(values, lengths))
    assert not torch.equal(network.train()(values, lengths), network(values, lengths))


@pytest.mark.parametrize("name", [*LINEAR, *OTHERS])
def test_what_is_hidden_amid_a_sequence_does_not_matter(name: str) -> None:
    torch.manual_seed(0)
    known = sequence_config(name)
    fields = {field: value for field, value in FIELDS.items() if hasattr(known, field)}
    mixer = sequence_config(name, width=16, heads=2, **fields).mixer(SequenceInputs(40, vocabulary=17), 0).double()
    x, mask = torch.randn(3, 40, 16, dtype=torch.float64), torch.rand(3, 40) < 0.6
    mask[2] = False
    x.requires_grad_()
    mixed = mixer.eval()(x, mask)
    changed = mixer(x.where(mask[..., None], 3.0), mask)
    torch.testing.assert_close(mixed[mask], changed[mask], rtol=1e-12, atol=1e-12)
    (slope,) = torch.autograd.grad(mixed.square().sum(), x)
    assert mixed.isfinite().all()
    assert slope.isfinite().all()
