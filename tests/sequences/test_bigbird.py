from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from explicit_attention import assert_is_attention, index, mixer, projections, some_padding
from modernet.data.sequences.inputs import SequenceInputs
from modernet.sequences.bigbird import BigBirdAttention, random_blocks
from modernet.sequences.zoo import create_sequence_model


def pattern(bigbird: BigBirdAttention, n: int) -> Tensor:
    """Return what a step sees, bool (heads, n, n), from the indices of blocks."""
    query, key = (steps // bigbird.block for steps in index(n))
    seen = ((query - key).abs() <= 1).expand(bigbird.heads, -1, -1)
    for block in bigbird.everywhere:
        seen = seen | (query == block) | (key == block)
    for choice in bigbird.chosen.unbind(-1):  # heads, blocks
        seen = seen | (choice[:, query] == key)
    return seen


@pytest.mark.parametrize("n", [40, 37, 9, 3, 1])
@pytest.mark.parametrize(("name", "everywhere"), [("bigbird", [0, 1]), ("bigbird_lra", [0, 10])])
def test_bigbird_is_attention_under_the_mask_of_its_blocks(name: str, everywhere: list[int], n: int) -> None:
    (q, k, v), mask = projections(n), some_padding(n)
    bigbird = mixer(name, 40, block=4, random_blocks=2)
    assert bigbird.everywhere == everywhere  # the Arena pads to 44 steps
    assert_is_attention(bigbird.mix(q, k, v, mask), q, k, v, pattern(bigbird, n), mask)


def test_few_blocks_are_full_attention() -> None:
    q, k, v = projections(24)
    mixed = mixer("bigbird", 24, block=4, random_blocks=3, global_blocks=1).mix(q, k, v, None)
    torch.testing.assert_close(mixed, F.scaled_dot_product_attention(q, k, v), rtol=1e-12, atol=1e-12)


def test_random_blocks_are_distinct_and_not_seen_already() -> None:
    chosen = random_blocks(4, 30, 3, [0, 29], seed=0)
    query = torch.arange(30)[:, None]
    assert chosen.shape == (4, 30, 3)
    assert ((chosen > 0) & (chosen < 29) & ((chosen - query).abs() > 1)).all()
    assert (chosen.sort(-1).values.diff(dim=-1) > 0).all()
    assert not torch.equal(chosen[0], chosen[1])
    assert torch.equal(chosen, random_blocks(4, 30, 3, [0, 29], seed=0))
    assert not torch.equal(chosen, random_blocks(4, 30, 3, [0, 29], seed=1))


def test_where_too_few_blocks_are_left_none_is_chosen_twice() -> None:
    chosen = random_blocks(1, 6, 3, [0], seed=0)
    assert (chosen[0, 2] >= 0).tolist() == [True, True, False]
    assert chosen[0, 2, :2].sort().values.tolist() == [4, 5]


def test_the_arenas_random_blocks_are_among_the_first_1024_steps() -> None:
    chosen = mixer("bigbird_lra", 4000).chosen
    assert chosen.shape == (2, 63, 3)
    assert chosen.min() == 1
    assert chosen.max() == 15


def test_a_saved_network_sees_the_same_blocks() -> None:
    inputs, small = SequenceInputs(64, vocabulary=5), {"depth": 2, "width": 16, "heads": 2, "block": 4}
    saved, other = (create_sequence_model("bigbird", inputs, 3, **small, seed=seed).eval() for seed in (0, 7))
    assert not torch.equal(saved.state_dict()["encoder.blocks.0.mixer.chosen"], other.encoder.blocks[0].mixer.chosen)
    other.load_state_dict(saved.state_dict())
    values, lengths = torch.randint(1, 5, (2, 64)), torch.tensor([64, 50])
    assert torch.equal(other(values, lengths), saved(values, lengths))


def test_layers_choose_differently() -> None:
    blocks = create_sequence_model("bigbird", SequenceInputs(64, vocabulary=5), 3, depth=2, block=4).encoder.blocks
    assert not torch.equal(blocks[0].mixer.chosen, blocks[1].mixer.chosen)


def test_the_arena_drops_no_weights() -> None:
    q, k, v = projections(24)
    arena = mixer("bigbird_lra", 24, block=4, attention_dropout=0.5)
    torch.testing.assert_close(arena.train().mix(q, k, v, None), arena.eval().mix(q, k, v, None))
