"""The split that the name of a file or a folder stands for: one rule for every source."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePath

from modernet.errors import InputError

DEFAULT_CONFIG = "default"

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


def place_of(path: PurePath) -> tuple[str, str] | None:
    """Return the configuration and the split of a file, given its path in the data set; None if it has no split.

    The split is that of the file's name, or else of its folder; the configuration is the folders above. These are the
    layouts of the Hub, for uploads and for its own conversions, and that of WebDataset's shards.

    >>> [place_of(PurePath(path)) for path in ("data/train-0.parquet", "plain_text/train/0000.parquet", "test/0.tar")]
    [('default', 'train'), ('plain_text', 'train'), ('default', 'test')]
    """
    *folders, _ = path.parts
    split = split_of(path.stem)
    if folders and (is_split_word(folders[-1]) if split else split_of(folders[-1])):
        split = split or split_of(folders[-1])
        folders.pop()
    if split is None:
        return None
    return "/".join(folders) if folders not in ([], ["data"]) else DEFAULT_CONFIG, split


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
