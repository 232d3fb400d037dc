"""Random numbers that are a function of where they are used, never of what was drawn before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """What numbers are drawn for; no two uses share theirs."""

    ORDER = 0
    IMAGE = 1  # while it is decoded
    BATCH = 2


def generator(seed: int, stream: Stream, epoch: int, step: int = 0, part: int = 0) -> np.random.Generator:
    """The random numbers of one part of one step. Part 0 has those of a step that is not cut into parts."""
    place = [seed % 2**63, int(stream), epoch, step]
    return np.random.default_rng([*place, part] if part else place)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Lets code that draws from the global generators of Python, numpy and torch (on the CPU) draw from a seed.

    Afterwards they are as they were.

    Args:
        seed: 0 to 2**32 - 1.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - others draw from it
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the accelerator as well
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


def new_seed(rng: np.random.Generator) -> int:
    """A seed for `seeded`."""
    return int(rng.integers(2**32))
