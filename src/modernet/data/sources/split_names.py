"""The split that the name of a file or a folder stands for: one rule for every source."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from modernet.errors import InputError

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_WORD = re.compile(rf"(?<![a-z])({'|'.join(_SPLITS)})(?![a-z])", re.IGNORECASE)


def split_of(name: str) -> str | None:
    """Return the split that a name contains as a word of its own, or None.

    A word ends where letters end, so `train2017` and `imagenet-val-07.tar` have a split, `trained` and `contrain` do
    not. The first word decides: `test-dev` is a test split.

    >>> split_of("imagenet-val-07.tar"), split_of("test_images"), split_of("contrain.parquet")
    ('validation', 'test', None)
    """
    match = _WORD.search(name)
    return _SPLITS[match[1].lower()] if match else None


def is_split_word(name: str) -> bool:
    """Return whether a name is nothing but the word for a split, as `train`; `bullet_train` is not."""
    return name.lower() in _SPLITS


def require_train(where: Path | str, splits: Iterable[str]) -> None:
    """Check that there is a training split.

    Raises:
        InputError: there are only others.
    """
    found = list(splits)
    if "train" not in found:
        raise InputError(f"{where} has a {' and a '.join(found)} split, but no train split; name its files train-*")
