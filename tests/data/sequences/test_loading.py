from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from modernet.data import Place
from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceBatch, SequenceSplit
from modernet.data.sequences.inputs import SequenceInputs
from modernet.data.sequences.loading import SequenceLoader, sequence_loader
from modernet.data.sequences.named_encodings import NAMED_ENCODINGS
from modernet.errors import InputError

CPU = torch.device("cpu")
TOKENS = SequenceInputs(12, vocabulary=51)


def pairs(n: int) -> SequenceSplit:
    """Pairs of which tower t of example i has i % 15 + 1 + t tokens, all i + 1."""
    towers = tuple(Ragged.of(np.full(i % 15 + 1 + t, i + 1, np.int16) for i in range(n)) for t in range(2))
    return SequenceSplit(towers, np.arange(n) % 3)


def loader(split: SequenceSplit, batch_size: int = 8, place: Place = Place(), train: bool = True) -> SequenceLoader:  # noqa: B008
    inputs = replace(TOKENS, towers=len(split.towers))
    return sequence_loader(split, inputs, batch_size=batch_size, device=CPU, seed=3, place=place, train=train)


def same(one: list[SequenceBatch], other: list[SequenceBatch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b)
        for x, y in zip(one, other, strict=True)
        for a, b in zip((*sum(x.towers, ()), *x[1:3]), (*sum(y.towers, ()), *y[1:3]), strict=True)
    )


def test_sequences_are_cut_and_padded_to_the_longest_of_their_batch() -> None:
    batches = list(loader(pairs(20), train=False).batches())
    assert [batch.counted for batch in batches] == [8, 8, 4]
    first, second = batches[0].towers
    assert first.values.dtype == torch.int64
    assert first.values.shape == (8, 8)
    assert second.values.shape == (8, 9)
    assert batches[1].towers[0].values.shape == (8, 12)
    assert batches[1].towers[0].lengths.tolist() == [9, 10, 11, 12, 12, 12, 12, 1]
    for i, (row, length) in enumerate(zip(first.values.tolist(), first.lengths.tolist(), strict=True)):
        assert row == [i + 1] * length + [0] * (8 - length)
    assert torch.equal(torch.cat([batch.targets for batch in batches]), torch.arange(20) % 3)
    assert torch.equal(torch.cat([batch.positions for batch in batches]), torch.arange(20))


def test_numbers_are_those_of_the_encoding_bit_for_bit_with_zeros_after_them() -> None:
    encoding = NAMED_ENCODINGS["image"].fit()
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    stored = [encoding.store(image)[: 1024 - i] for i, image in enumerate(images)]
    split = SequenceSplit((Ragged.of(stored, encoding.scale, encoding.shift),), np.zeros(3, np.int64))
    assert split.towers[0].values.dtype == np.uint8
    made = sequence_loader(split, encoding.inputs, batch_size=3, device=CPU, train=False)
    (tower,) = next(made.batches()).towers
    assert tower.values.dtype == torch.float32
    for i, image in enumerate(images):
        assert np.array_equal(tower.values[i, : 1024 - i].numpy(), encoding.encode(image)[: 1024 - i])
        assert not tower.values[i, 1024 - i :].any()


def test_training_shows_every_example_once_in_a_new_order_each_epoch() -> None:
    made = loader(pairs(46))
    assert (made.steps_per_epoch, made.samples_per_epoch, made.micro_batches_per_step) == (6, 46, 1)
    orders = [torch.cat([batch.positions for batch in made.batches(epoch)]).tolist() for epoch in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[2]) == list(range(46)) != orders[2]


def test_an_epoch_is_entered_in_the_middle() -> None:
    made = loader(pairs(46), place=Place(2))
    assert same(list(made.batches(1))[6:], list(made.batches(1, first_step=3)))


@pytest.mark.parametrize("world", [2, 4])
def test_a_step_shows_the_same_sequences_whoever_takes_its_micro_batches(world: int) -> None:
    alone = list(loader(pairs(46), 12, Place(4)).batches(1))
    for rank in range(world):
        assert same(list(loader(pairs(46), 12, Place(4, rank, world)).batches(1)), alone[rank::world])


def test_evaluation_counts_every_example_once_over_all_processes() -> None:
    served = [list(loader(pairs(9), 4, Place(2, rank, 2), train=False).batches()) for rank in range(2)]
    assert [[batch.counted for batch in batches] for batches in served] == [[2, 2, 1], [2, 2, 0]]
    counted = [batch.positions[: batch.counted] for batches in served for batch in batches]
    assert sorted(torch.cat(counted).tolist()) == list(range(9))


def test_sequences_may_be_memory_mapped_and_read_only(tmp_path) -> None:
    split = pairs(20)
    np.save(tmp_path / "values.npy", split.towers[0].values)
    mapped = Ragged(np.load(tmp_path / "values.npy", mmap_mode="r"), split.towers[0].offsets)
    alone = replace(split, towers=split.towers[:1])
    assert same(list(loader(replace(split, towers=(mapped,))).batches()), list(loader(alone).batches()))


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"^batch_size is 0; give 1 or more$"):
        loader(pairs(4), 0)
    with pytest.raises(
        InputError, match=r"^the smallest batch of an epoch has 3 of 3 examples, too few for 4 micro-batches"
    ):
        loader(pairs(3), 8, Place(4))
