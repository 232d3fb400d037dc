"""Fields of a network's config as a user writes them: `stem_stride=2`."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from modernet.errors import InputError

_RESERVED: Mapping[str, str] = {
    "num_classes": "it is the number of classes of the data",
    "in_chans": "images have three channels",
    "global_pool": "give --global-pool, for a classifier",
    "drop_path_rate": "give --drop-path",
}


def parse_fields(fields: Sequence[str], where: str = "--model-fields") -> dict[str, Any]:
    """Parse `stem_stride=2` into a name and a value in Python syntax; a bare word is a string.

    Args:
        where: what the user wrote them in, for messages.

    Raises:
        InputError: a text is not `name=value`, or the field follows from something else.

    >>> parse_fields(["depths=(1,1)", "act=gelu"])
    {'depths': (1, 1), 'act': 'gelu'}
    """
    values: dict[str, Any] = {}
    for field in fields:
        name, equals, text = (part.strip() for part in field.partition("="))
        if not equals:
            raise InputError(f"{where} got {field!r}; give name=value, such as stem_stride=2")
        if name in _RESERVED:
            raise InputError(f"{where} cannot set {name}: {_RESERVED[name]}")
        try:
            values[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[name] = text
    return values


def split_fields(text: str) -> list[str]:
    """Split `width=16,depths=(1,1)` at the commas that are not within brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
