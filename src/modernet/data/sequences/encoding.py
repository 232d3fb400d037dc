"""How text, images and sound become sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modernet.data.sequences.inputs import SequenceInputs

EncodingKind = Literal["words", "bytes", "characters", "grey_tokens", "grey", "sound"]


@dataclass(frozen=True)
class Encoding:
    """JSON-able, so that a trained network can be given new text, images and sound."""

    kind: EncodingKind
    """words: separated by blanks, as ListOps; bytes, of UTF-8; characters; grey_tokens and grey: pixels of an image row
    by row, as integers or as numbers; sound: samples."""
    inputs: SequenceInputs
    symbols: tuple[str, ...] = ()
    """Of words and characters: those of tokens 1, 2, ...; all others are the token after the last one."""
    mean: float = 0.0
    """Of numbers: subtracted."""
    std: float = 1.0
    """Of numbers: what they are divided by then."""
