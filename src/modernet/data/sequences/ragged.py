"""Sequences of different lengths, end to end in one array."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Ragged:
    """Sequences, which may be memory-mapped.

    Attributes:
        values: (total,) of tokens, or (total, channels) of numbers.
        offsets: int64 (n + 1,), where each sequence begins, and the end of the last one.
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    @staticmethod
    def of(sequences: Iterable[NDArray[Any]]) -> Ragged:
        """Put sequences of one dtype end to end."""
        parts = list(sequences)
        offsets = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        return Ragged(np.concatenate(parts), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Return a view of one sequence."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 (n,)."""
        return np.diff(self.offsets)
