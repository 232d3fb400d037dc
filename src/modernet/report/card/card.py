"""The model card of a run: metadata for the Hub, and the text for people."""

from __future__ import annotations

import hashlib
import re

import yaml

from modernet.report.card.metadata import metadata
from modernet.report.card.subject import Card, records_of
from modernet.report.card.text import text

__all__ = ["Card", "is_own_card", "model_card", "records_of"]

_MARK = re.compile(r"\n<!-- Written by modernet card; ([0-9a-f]{12}) -->\n\Z")


def model_card(card: Card) -> str:
    """Return the card as Markdown, with its metadata in YAML before it.

    It ends with a digest of itself, by which `is_own_card` knows it.
    """
    front = yaml.safe_dump(metadata(card), sort_keys=False, allow_unicode=True, width=float("inf"))
    content = f"---\n{front}---\n\n{text(card)}".encode("utf-8", "backslashreplace").decode()
    return f"{content}\n<!-- Written by modernet card; {_digest(content)} -->\n"


def is_own_card(content: str) -> bool:
    """Return whether a text is a card as it was written: one that was edited since is its editor's."""
    found = _MARK.search(content)
    return found is not None and found[1] == _digest(content[: found.start()])


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:12]
