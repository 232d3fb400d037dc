"""Generated expressions in the cache folder."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modernet.data.generating import Arrays, column, generated
from modernet.data.ragged import Ragged
from modernet.data.sequences.listops.grammar import draw_expression

VERSION = 1
"""Changes with everything that changes the expressions of a seed."""
_PER_CHUNK = 500
_SPARE_CHUNKS = 1


class Labelled(NamedTuple):
    expressions: Ragged
    labels: NDArray[np.int64]


def generated_expressions(name: str, shortest: int, longest: int, seed: int, n: int) -> Labelled:
    """Return the first n distinct expressions of a seed, memory-mapped, after they were generated once.

    Args:
        shortest: tokens, without the parentheses of the published files.
        longest: the same.

    Raises:
        InputError: the cache folder cannot be written to.
    """
    chunks = -(-n // _PER_CHUNK) + _SPARE_CHUNKS  # equal ones are too rare to need more
    folder = generated(
        f"sequences/{name}-{shortest}-{longest}-v{VERSION}-{seed}-{n}",
        chunks,
        partial(chunk, shortest, longest, seed),
        partial(_join, n),
    )
    tokens, offsets = np.load(folder / "tokens.npy", mmap_mode="r"), np.load(folder / "offsets.npy")
    return Labelled(Ragged(tokens, offsets), np.load(folder / "labels.npy"))


def chunk(shortest: int, longest: int, seed: int, index: int) -> Arrays:
    """Draw the expressions of one chunk; `draws` is how many it took, the too short and the too long ones too."""
    rng = random.Random(f"{seed} {index}")
    content, draws = bytearray(), 0
    lengths: list[int] = []
    labels: list[int] = []
    while len(labels) < _PER_CHUNK:
        draws += 1
        expression = draw_expression(rng, longest + 1)
        if expression is None or len(expression.tokens) < shortest:
            continue
        content += expression.tokens
        lengths.append(len(expression.tokens))
        labels.append(expression.value)
    return {
        "tokens": np.frombuffer(bytes(content), np.uint8),
        "lengths": np.array(lengths),
        "labels": np.array(labels),
        "draws": np.array(draws),
    }


def _join(n: int, chunks: Sequence[Path], folder: Path) -> None:
    """Write the first n distinct expressions of all chunks."""
    seen: set[bytes] = set()
    content = bytearray()
    lengths: list[int] = []
    labels: list[int] = []
    for file in chunks:
        tokens = column(file, "tokens").tobytes()
        end = 0
        for length, label in zip(column(file, "lengths").tolist(), column(file, "labels").tolist(), strict=True):
            expression, end = tokens[end : end + length], end + length
            if len(labels) < n and expression not in seen:
                seen.add(expression)
                content += expression
                lengths.append(length)
                labels.append(label)
    assert len(labels) == n, "the spare chunk makes up for equal expressions"
    np.save(folder / "tokens.npy", np.frombuffer(content, np.uint8))
    np.save(folder / "offsets.npy", np.cumsum([0, *lengths]))
    np.save(folder / "labels.npy", np.array(labels))
