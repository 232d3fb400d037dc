"""Sequences of different lengths, end to end in one array."""

from __future__ import annotations

from array import array
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
        scale: of numbers: a network sees `values * scale + shift` in float32, so that 8 bits of a pixel stay 8 bits.
        shift: see `scale`.
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]
    scale: float = 1.0
    shift: float = 0.0

    @staticmethod
    def of(sequences: Iterable[NDArray[Any]], scale: float = 1.0, shift: float = 0.0) -> Ragged:
        """Put sequences of one dtype end to end, at least one; they may be made one by one."""
        growing = Growing()
        for sequence in sequences:
            growing.append(sequence)
        return growing.done(scale, shift)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Return a view of one sequence, as it is stored."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 (n,)."""
        return np.diff(self.offsets)


class Growing:
    """Sequences of one dtype that are put end to end one by one, in little more memory than they take."""

    def __init__(self) -> None:
        self._content, self._offsets = bytearray(), array("q", [0])
        self._like = np.empty(0)

    def append(self, sequence: NDArray[Any]) -> None:
        self._content += sequence.tobytes()
        self._offsets.append(self._offsets[-1] + len(sequence))
        self._like = sequence[:0]

    def done(self, scale: float = 1.0, shift: float = 0.0) -> Ragged:
        """Return all of them, at least one."""
        values = np.frombuffer(self._content, self._like.dtype).reshape(-1, *self._like.shape[1:])
        return Ragged(values, np.array(self._offsets, dtype=np.int64), scale, shift)
