from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import torch

from modernet.data.chance import Stream, generator, seeded


def test_every_place_has_its_own_numbers_and_always_the_same() -> None:
    places = list(itertools.product((0, 1, 2**40), Stream, (0, 1), (0, 1), (0, 1, 2)))
    first = [generator(*place).random() for place in places]
    assert len(set(first)) == len(places)
    assert first == [generator(*place).random() for place in places]


def test_the_only_micro_batch_of_a_step_has_the_numbers_of_an_undivided_step() -> None:
    """Runs of versions without micro-batches can be repeated to the same numbers."""
    expected = np.random.default_rng([7, 2, 3, 4]).random()
    assert generator(7, Stream.BATCH, epoch=3, step=4, index=0).random() == expected


def draws() -> tuple[float, float, float]:
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002 - the global state is what is tested


def test_global_generators_follow_the_seed_inside_and_go_on_outside_even_after_an_error() -> None:
    with seeded(1):
        expected = draws()
    with seeded(2):
        undisturbed = [draws(), draws()]
    with seeded(2):
        before = draws()
        with pytest.raises(ZeroDivisionError), seeded(1):
            assert draws() == expected
            _ = 1 / 0
        assert [before, draws()] == undisturbed
