"""Lengths, vocabularies and cuts by name, as they were published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import numpy as np

from modernet.data.sequences.encoding import Encoding, EncodingKind, code_points, words
from modernet.data.sequences.inputs import SequenceInputs

NANO_STEPS = 256
"""Longest sequence of the short version of a task."""


@dataclass(frozen=True)
class NamedEncoding:
    """An encoding whose symbols are those of the training data."""

    kind: EncodingKind
    max_length: int
    source: str
    """Where these values are from."""
    towers: Literal[1, 2] = 1
    min_frequency: int = 1
    """Of words and characters: how often a symbol is in the training data, which is cut first."""
    eos: bool = False
    zero_is_padding: bool = False
    mean: float = 0.0
    std: float = 1.0
    rate: int | None = None

    def short(self) -> NamedEncoding:
        """Return the same for sequences of at most `NANO_STEPS`."""
        return replace(self, max_length=min(self.max_length, NANO_STEPS))

    def fit(self, texts: Iterable[str] = ()) -> Encoding:
        """Return the encoding.

        Args:
            texts: of the training split; only read for words and characters.
        """
        symbols = self._symbols(texts) if self.kind in ("words", "characters") else ()
        inputs = SequenceInputs(
            self.max_length,
            vocabulary=self._vocabulary(len(symbols)),
            towers=self.towers,
            zero_is_padding=self.zero_is_padding,
        )
        return Encoding(self.kind, inputs, symbols, self.eos, self.mean, self.std, self.rate)

    def _vocabulary(self, symbols: int) -> int | None:
        match self.kind:
            case "grey" | "sound":
                return None
            case "bytes":
                return 1 + 256
            case "grey_tokens":
                return 256 if self.zero_is_padding else 1 + 256
        return 1 + symbols + 1 + self.eos  # padding, and what is no symbol

    def _symbols(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Return the symbols of the texts, the most frequent one first."""
        room, counts = self.max_length - self.eos, Counter[str]()
        if self.kind == "words":
            for text in texts:
                counts.update(words(text)[:room])
        else:
            remaining = iter(texts)
            while some := list(islice(remaining, 1000)):
                points, times = np.unique(code_points("".join(text[:room] for text in some)), return_counts=True)
                counts.update(dict(zip(map(chr, points.tolist()), times.tolist(), strict=True)))
        kept = (symbol for symbol, count in counts.items() if count >= self.min_frequency)
        return tuple(sorted(kept, key=lambda symbol: (-counts[symbol], symbol)))


_ARENA = "Tay et al. 2020 (arXiv 2011.04006)"
_RELEASED = "its released code and configs"
_S4 = "Gu et al. 2022 (arXiv 2111.00396), its released code"

NAMED_ENCODINGS: Mapping[str, NamedEncoding] = {
    "text": NamedEncoding("bytes", 4000, f"{_ARENA}: the longest of the four cuts whose best is reported"),
    "text_lra": NamedEncoding("bytes", 1000, f"{_ARENA}, {_RELEASED}"),
    "text_s4": NamedEncoding("characters", 4096, _S4, min_frequency=15, eos=True),
    "retrieval": NamedEncoding("bytes", 4000, f"{_ARENA}, and {_RELEASED}", towers=2),
    "retrieval_s4": NamedEncoding("characters", 4000, _S4, towers=2, eos=True),
    "image": NamedEncoding("grey", 1024, _S4, mean=122.6 / 255, std=61 / 255),
    "image_tokens": NamedEncoding("grey_tokens", 1024, f"{_ARENA}: every grey value is a token, black as well"),
    "image_lra": NamedEncoding("grey_tokens", 1024, f"{_ARENA}, {_RELEASED}: black is padding", zero_is_padding=True),
}
"""What `open_sequences` encodes its named tasks with."""
