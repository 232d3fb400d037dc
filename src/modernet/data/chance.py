"""Random numbers that are a function of where they are used, never of what was drawn before."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What numbers are drawn for; no two uses share theirs."""

    ORDER = 0
    PICTURE = 1  # while it is decoded
    BATCH = 2


def generator(seed: int, stream: Stream, epoch: int, step: int = 0, part: int = 0) -> np.random.Generator:
    """The random numbers of one part of one step. Part 0 has those of a step that is not cut into parts."""
    place = [seed % 2**63, int(stream), epoch, step]
    return np.random.default_rng([*place, part] if part else place)
