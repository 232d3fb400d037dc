"""The published files of ListOps: basic_train.tsv, basic_val.tsv, basic_test.tsv."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceSplit
from modernet.data.sequences.listops.grammar import END, FIRST_OPERATOR, OPERATORS
from modernet.errors import InputError

_HEADER = b"Source\tTarget"
_SHOWN = 60
_VALUES = [b"%d" % digit for digit in range(10)]
_LETTERS = [(name.encode(), b"%c" % letter) for name, letter in zip(OPERATORS, b"abcd", strict=True)]
_UNKNOWN = re.compile(rb"[^][0-9X() MINAEDS]")
_GLUED = re.compile(rb"[^() ][^() ]")
_TOKENS = bytes(
    b"0123456789abcd]".find(byte) + 1 if byte != ord("X") else END for byte in range(256)
)  # 0 for what is no symbol


def read_expressions(file: Path, longest: int) -> SequenceSplit:
    """Read a file with a header, an expression in each line, a tab, and its value.

    Parentheses are left out; a list ends with `]`, or with `X`, as the Arena's own reader writes it.

    Raises:
        InputError: a line is not an expression and its value, or is too long; the message names it.
    """
    content, lengths, labels, names = bytearray(), [], [], []
    for number, line in _lines(file):
        name = f"line {number} of {file}"
        source, _, target = line.partition(b"\t")
        tokens = _tokens(source)
        if not tokens:
            raise InputError(
                f"{name} has {_short(source)}; it needs an expression such as '[MAX 2 9 [MIN 4 7 ] ]', "
                "a tab, and its value"
            )
        if target not in _VALUES:
            raise InputError(f"{name} has {_short(target)} as the value of its expression; it must be a digit")
        if len(tokens) > longest:
            raise InputError(f"{name} has an expression of {len(tokens)} tokens; at most {longest} are possible")
        content += tokens
        lengths.append(len(tokens))
        labels.append(int(target))
        names.append(name)
    if not labels:
        raise InputError(f"{file} has no expressions; give the published file, or remove it")
    offsets = np.cumsum([0, *lengths])
    return SequenceSplit((Ragged(np.frombuffer(content, np.uint8), offsets),), np.array(labels), tuple(names))


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not empty, with their numbers, without the header."""
    try:
        with file.open("rb") as opened:
            for number, line in enumerate(opened, 1):
                line = line.rstrip(b"\r\n")
                if line and not (number == 1 and line == _HEADER):
                    yield number, line
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; give the folder of the published files") from error


def _tokens(source: bytes) -> bytes:
    """Return the tokens of an expression; none if it is not a whole nested list."""
    if _UNKNOWN.search(source):
        return b""
    for name, letter in _LETTERS:
        source = source.replace(name, letter)
    if _GLUED.search(source):
        return b""
    tokens = source.translate(_TOKENS, b"() ")
    values = np.frombuffer(tokens, np.uint8)
    opens, ends = (values >= FIRST_OPERATOR) & (values < END), values == END
    depth = np.cumsum(opens.astype(np.int64) - ends)
    empty = opens[:-1] & ends[1:]
    whole = len(values) and values.all() and depth[-1] == 0 and (depth[:-1] > 0).all() and opens[0] and not empty.any()
    return tokens if whole else b""


def _short(text: bytes) -> str:
    shown = text.decode(errors="replace")
    return repr(shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}...")
