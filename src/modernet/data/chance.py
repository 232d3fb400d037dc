"""Random numbers that are a function of where they are used, never of what was drawn before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """The use of random numbers; no two uses share a stream."""

    ORDER = 0
    IMAGE = 1  # while it is decoded
    BATCH = 2
    HIDDEN = 3  # steps of a sequence or cells of an image, to be predicted
    POINTS = 4  # of a cloud: which are shown, and how they are moved


def generator(seed: int, stream: Stream, epoch: int, step: int = 0, index: int = 0) -> np.random.Generator:
    """Return the random numbers of micro-batch `index` of a step. Index 0 has those of a step that is not divided."""
    entropy = [seed % 2**63, int(stream), epoch, step]
    return np.random.default_rng([*entropy, index] if index else entropy)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, numpy and torch (on the CPU), and restore their state afterwards.

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
    """Draw a seed for `seeded`."""
    return int(rng.integers(2**32))
