"""What a network adds to the loss of its task, for what it computes on the way.

    with collected_penalties() as penalties:
        logits = network(points)
    loss = F.cross_entropy(logits, classes) + sum(penalties)

A network's output stays its logits, and who does not train it need not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

_collecting: list[list[Tensor]] = []


@contextmanager
def collected_penalties() -> Iterator[list[Tensor]]:
    """Inside, collect the penalties of forward passes: scalars, means over the clouds of the batch."""
    penalties: list[Tensor] = []
    _collecting.append(penalties)
    try:
        yield penalties
    finally:
        _collecting.pop()


def penalize(penalty: Tensor) -> None:
    """Add a scalar to the penalties of this forward pass, if anyone collects them."""
    if _collecting:
        _collecting[-1].append(penalty)
