"""What a network sees of a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class SequenceInputs:
    """Tokens or numbers, and how many. JSON-able.

    A batch of tokens is int64 (b, n), of numbers float32 (b, n, channels), with lengths int64 (b,). What comes after
    the length of a sequence is padding: 0.
    """

    max_length: int
    """Steps of the longest sequence; longer ones are cut."""
    vocabulary: int | None = None
    """Number of tokens, with the 0 of padding; None for numbers."""
    channels: int = 1
    """Of numbers: how many a step has."""
    towers: Literal[1, 2] = 1
    """Sequences of an example: 2 where a pair has the class."""
    zero_is_padding: bool = False
    """Hide every token 0, as the Long Range Arena's code does: on grey images that hides every black pixel."""

    def mask(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return which steps are not padding, bool (b, n)."""
        steps = torch.arange(values.shape[1], device=values.device)
        mask = steps < lengths.to(values.device)[:, None]
        if self.zero_is_padding:
            return mask & (values if self.vocabulary is not None else values.any(-1)).bool()
        return mask
