"""Nested lists as tokens, and their values."""

from __future__ import annotations

import random
from typing import NamedTuple

OPERATORS = ("[MIN", "[MAX", "[MED", "[SM")
SYMBOLS = (*"0123456789", *OPERATORS, "]")
"""Of the tokens 1, 2, ...: the digit d is the token d + 1."""
FIRST_OPERATOR, END = SYMBOLS.index("[MIN") + 1, SYMBOLS.index("]") + 1

_MAX_DEPTH = 10
_LIST_SHARE = 0.25
_ARGUMENTS = (2, 10)
_DIGITS = range(10)
_OPERATORS = range(FIRST_OPERATOR, END)


class Expression(NamedTuple):
    tokens: bytearray
    value: int


class _TooLong(Exception):
    pass


def draw_expression(rng: random.Random, limit: int) -> Expression | None:
    """Draw a digit or a nested list with the draws of the published generator; None if it has `limit` tokens or more.

    A node less than 10 deep is a list in 25 % of cases, with 2 to 10 arguments, and else a digit.

    Source: `lra_benchmarks/data/listops.py` of Tay et al. 2020 (arXiv 2011.04006). Unlike it, an expression that
    becomes too long is abandoned at once; what it is drawn from then differs for the next one, but not the law.
    """
    tokens = bytearray()
    try:
        return Expression(tokens, _draw(rng, tokens, 1, limit))
    except _TooLong:
        return None


def _draw(rng: random.Random, tokens: bytearray, depth: int, limit: int) -> int:
    """Append a node, and return its value."""
    if len(tokens) >= limit:
        raise _TooLong
    if depth == _MAX_DEPTH or rng.random() > _LIST_SHARE:
        digit = rng.choice(_DIGITS)
        tokens.append(digit + 1)
        return digit
    place = len(tokens)
    tokens.append(0)  # the operator is drawn after its arguments
    arguments = [_draw(rng, tokens, depth + 1, limit) for _ in range(rng.randint(*_ARGUMENTS))]
    tokens[place] = operator = rng.choice(_OPERATORS)
    tokens.append(END)
    if len(tokens) >= limit:
        raise _TooLong
    return apply(operator, arguments)


def apply(operator: int, arguments: list[int]) -> int:
    """Return the value of a list: its minimum, maximum, median without decimals, or sum modulo 10.

    >>> apply(SYMBOLS.index("[MED") + 1, [1, 8, 4, 9])
    6
    """
    match SYMBOLS[operator - 1]:
        case "[MIN":
            return min(arguments)
        case "[MAX":
            return max(arguments)
        case "[SM":
            return sum(arguments) % 10
    ordered, n = sorted(arguments), len(arguments)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) // 2
