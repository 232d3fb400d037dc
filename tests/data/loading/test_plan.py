from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from timm.data.distributed_sampler import RepeatAugSampler

from modernet.data.loading.plan import SHARDS_OPEN, EvaluationPlan, Place, Plan, TrainingPlan
from modernet.errors import InputError


def epoch(plan: Plan, number: int = 0) -> list[int]:
    return [position for micro_batch in plan.epoch(number) for position in micro_batch.positions.tolist()]


@given(n=st.integers(1, 200), batch_size=st.integers(1, 40))
def test_every_image_is_shown_once_in_batches_of_at_least_half_the_size(n: int, batch_size: int) -> None:
    plan = TrainingPlan(n, batch_size, seed=0)
    assert sorted(epoch(plan)) == list(range(n))
    assert len(plan.sizes) == -(-n // batch_size)
    assert max(plan.sizes) <= batch_size
    assert min(plan.sizes) >= min(n, batch_size / 2)
    assert all(size == batch_size for size in plan.sizes[:-2])
    assert [len(micro_batch.positions) for micro_batch in plan.epoch(0)] == plan.sizes


def test_the_last_two_batches_share_what_is_left_evenly() -> None:
    assert TrainingPlan(46, 8, seed=0).sizes == [8, 8, 8, 8, 7, 7]
    assert TrainingPlan(49, 8, seed=0).sizes == [8, 8, 8, 8, 8, 5, 4]


def shown(plan: TrainingPlan, number: int, first_step: int = 0) -> list[tuple[int, int, list[int]]]:
    return [(one.step, one.index, one.positions.tolist()) for one in plan.epoch(number, first_step)]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_micro_batches_of_all_processes_are_those_of_one(n: int) -> None:
    alone = shown(TrainingPlan(50, 8, 0, Place(n)), 1)
    shared = [one for rank in range(n) for one in shown(TrainingPlan(50, 8, 0, Place(n, rank, n)), 1)]
    assert sorted(shared) == alone
    whole = TrainingPlan(50, 8, 0).order(1).tolist()
    assert alone[1] == (0, 1, whole[1:8:n])


def test_micro_batches_are_divided_as_in_the_example() -> None:
    def served(rank: int, world: int) -> list[list[int]]:
        plan = Plan([8], Place(4, rank, world))
        return [one.positions.tolist() for one in plan.epoch(0)]

    assert served(0, 1) == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert served(0, 2) == [[0, 4], [2, 6]]
    assert served(1, 2) == [[1, 5], [3, 7]]


def test_an_epoch_is_entered_in_the_middle() -> None:
    plan = TrainingPlan(50, 8, 0, Place(4, rank=1, world=2))
    rest, whole = shown(plan, 3, first_step=4), shown(plan, 3)
    assert rest == whole[8:]
    assert [one[:2] for one in rest[:3]] == [(4, 1), (4, 3), (5, 1)]


def test_more_micro_batches_than_images_are_refused_in_one_line() -> None:
    with pytest.raises(InputError) as caught:
        TrainingPlan(9, 8, seed=0, place=Place(5))
    assert str(caught.value) == (
        "the smallest batch of an epoch has 4 of 9 examples, too few for 5 micro-batches; "
        "give a larger batch_size, or fewer processes, or a larger device_batch"
    )


@given(n=st.integers(1, 40), batch_size=st.integers(1, 12), world=st.integers(1, 5))
def test_evaluation_counts_every_image_once_and_keeps_processes_in_step(n: int, batch_size: int, world: int) -> None:
    ranks = [list(EvaluationPlan(n, batch_size, Place(world, rank, world)).epoch(0)) for rank in range(world)]
    assert len({len(micro_batches) for micro_batches in ranks}) == 1
    served = [micro_batch for rank in ranks for micro_batch in rank]
    counted = [one.positions.tolist() for one in served if one.counts]
    assert sorted(position for positions in counted for position in positions) == list(range(n))
    for one in served:
        assert one.counts or one.positions.tolist() == [one.step * batch_size]


def test_orders_differ_between_epochs_and_seeds() -> None:
    orders = [TrainingPlan(50, 8, seed).order(number).tolist() for seed in (0, 1) for number in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


@pytest.mark.parametrize(("n", "world", "repeats"), [(512, 4, 3), (512, 2, 2), (768, 3, 4)])
def test_repeated_images_are_those_of_timms_sampler(n: int, world: int, repeats: int) -> None:
    shuffled = TrainingPlan(n, n, seed=0).order(0)
    for rank in range(world):
        plan = TrainingPlan(n, 6 * world, 0, Place(world, rank, world), repeats=repeats)
        theirs = RepeatAugSampler(range(n), world, rank, shuffle=False, num_repeats=repeats)
        assert epoch(plan) == shuffled[list(theirs)].tolist()


def test_copies_of_an_image_are_in_different_micro_batches() -> None:
    plan = TrainingPlan(60, 12, 0, Place(4), repeats=3)
    assert all(len(set(one.positions.tolist())) == len(one.positions) for one in plan.epoch(0))
    images, copies = np.unique(epoch(plan), return_counts=True)
    assert (len(images), set(copies)) == (20, {3})


def test_few_shards_are_open_at_a_time() -> None:
    shards = np.random.default_rng(0).permutation(np.repeat(np.arange(40) + 7, 5))
    plan = TrainingPlan(200, 16, seed=0, shards=shards)
    order = plan.order(0)
    assert sorted(order) == list(range(200))
    for start in range(0, 200, 5 * SHARDS_OPEN):
        window = shards[order[start : start + 5 * SHARDS_OPEN]]
        assert len(np.unique(window)) == SHARDS_OPEN
        assert len(np.unique(window[:10])) > 2, "images are shuffled among the shards of a window"
    first, second = (set(shards[plan.order(number)[: 5 * SHARDS_OPEN]]) for number in (0, 1))
    assert first != second, "shards are shuffled anew for every epoch"
    np.testing.assert_array_equal(order, plan.order(0))
