"""Fields of a network's config as a user writes them: `stem_stride=2`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from modernet.errors import InputError

_RESERVED: Mapping[str, str] = {
    "num_classes": "it is the number of classes of the data",
    "in_chans": "images have three channels",
    "global_pool": "give --global-pool, for a classifier",
    "drop_path_rate": "give --drop-path",
}
_WITH_FIELDS = re.compile(r"(?P<model>[^=]+?):(?P<fields>\w+=.*)")


def parse_candidate(text: str) -> tuple[str, dict[str, Any]]:
    """Read a network with fields of its config after a colon: its name, perhaps with a tag, and the fields.

    Raises:
        InputError: as `parse_fields`.

    >>> parse_candidate("resnet18:width=16,depths=(1,1,1,1)")
    ('resnet18', {'width': 16, 'depths': (1, 1, 1, 1)})
    >>> parse_candidate("timm:resnet18")
    ('timm:resnet18', {})
    """
    found = _WITH_FIELDS.fullmatch(text)
    return (text, {}) if found is None else (found["model"], parse_fields(_split(found["fields"]), text))


def check_distinct(candidates: Sequence[str]) -> None:
    """Check that no network is named twice.

    Raises:
        InputError: one is.
    """
    twice = next((name for place, name in enumerate(candidates) if name in candidates[:place]), None)
    if twice is not None:
        raise InputError(f"{twice} is given twice; give each network once, with other fields after a colon")


def check_several(candidates: Sequence[str]) -> None:
    """Check that there is something to compare.

    Raises:
        InputError: there are fewer than two networks.
    """
    if len(candidates) < 2:
        raise InputError("there is nothing to compare; give two networks or more, such as convnext_test resnet18")


def without_shared_fields(texts: Sequence[str]) -> dict[str, str]:
    """Return a shorter name for each network with fields: without those that all of the same model have alike.

    >>> without_shared_fields(["resnet18:width=8,stem_stride=2", "resnet18:width=16,stem_stride=2", "vgg11:hidden=64"])
    {'resnet18:width=8,stem_stride=2': 'resnet18:width=8', 'resnet18:width=16,stem_stride=2': 'resnet18:width=16', \
'vgg11:hidden=64': 'vgg11:hidden=64'}
    """
    parts = {
        text: (found["model"], _split(found["fields"])) for text in texts if (found := _WITH_FIELDS.fullmatch(text))
    }
    short = {text: text for text in texts}
    for text, (model, fields) in parts.items():
        alike = [others for name, others in parts.values() if name == model]
        own = [field for field in fields if not all(field in others for others in alike)]
        if len(alike) > 1 and own:
            short[text] = f"{model}:{','.join(own)}"
    return short


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


def _split(text: str) -> list[str]:
    """Split `width=16,depths=(1,1)` at the commas that are not within brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
