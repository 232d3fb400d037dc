"""How text, images and sound become sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError

EncodingKind = Literal["words", "bytes", "characters", "grey_tokens", "grey", "sound"]

_TENSORFLOW_GREY = np.array([0.2989, 0.5870, 0.1140], dtype=np.float32)
_PARENTHESES = str.maketrans("", "", "()")


@dataclass(frozen=True)
class Encoding:
    """JSON-able, so that a trained network can be given new text, images and sound.

    A data set keeps what `store` returns, a network sees what `encode` returns: the same tokens, but other numbers.
    """

    kind: EncodingKind
    """words: separated by blanks, without parentheses, as ListOps; bytes, of UTF-8; characters; grey_tokens and grey:
    pixels of a square image row by row, as integers or as numbers; sound: samples."""
    inputs: SequenceInputs
    symbols: tuple[str, ...] = ()
    """Of words and characters: those of tokens 1, 2, ...; all others are the token after the last one."""
    eos: bool = False
    """Of words and characters: add a token at the end, the highest; it counts in the longest length."""
    mean: float = 0.0
    """Of numbers, which are pixels in 0 ... 1 or samples in -1 ... 1: subtracted."""
    std: float = 1.0
    """Of numbers: what they are divided by then."""
    rate: int | None = None
    """Of sound: samples a second."""

    def encode(self, raw: str | NDArray[Any]) -> NDArray[Any]:
        """Return the sequence that a network sees: tokens (n,), or float32 (n, channels).

        Args:
            raw: text; an image, uint8 (h, w) or RGB (3, h, w); or sound, float (samples,) in -1 ... 1.

        Raises:
            InputError: there is nothing in it, or an image is of another size.
        """
        stored = self.store(raw)
        return stored if self.inputs.vocabulary is not None else numbers(stored, self.scale, self.shift)

    def store(self, raw: str | NDArray[Any]) -> NDArray[Any]:
        """Return what a data set keeps of an example: its tokens, or its numbers before `scale` and `shift`.

        Raises:
            InputError: as `encode`.
        """
        if isinstance(raw, str):
            sequence = self._tokens(raw)
        elif self.kind == "sound":
            sequence = raw[: self.inputs.max_length, None].astype(np.float32)
        else:
            sequence = self._pixels(raw)
        if not len(sequence):
            raise InputError("it is empty")
        return sequence

    @property
    def scale(self) -> float:
        """Of numbers: what a stored one is multiplied by; see `Ragged.scale`."""
        return 1 / (self.std * (255 if self.kind == "grey" else 1))

    @property
    def shift(self) -> float:
        """Of numbers: what is added then."""
        return -self.mean / self.std

    @property
    def side(self) -> int:
        """Of images: height and width."""
        return math.isqrt(self.inputs.max_length)

    def as_json(self) -> dict[str, Any]:
        """Return the values of JSON that `of_json` understands."""
        return asdict(self)

    @staticmethod
    def of_json(values: Mapping[str, Any]) -> Encoding:
        """Return the encoding that `as_json` was called on."""
        parts = {"inputs": SequenceInputs(**values["inputs"]), "symbols": tuple(values["symbols"])}
        return Encoding(**{**values, **parts})

    def _tokens(self, text: str) -> NDArray[Any]:
        room = self.inputs.max_length - self.eos
        if self.kind == "bytes":
            content = text[:room].encode(errors="surrogateescape")[:room]
            return np.frombuffer(content, np.uint8).astype(np.int16) + np.int16(1)
        if self.kind == "characters":
            tokens = self._of_code_points[code_points(text[:room])]
        else:
            other = len(self.symbols) + 1
            tokens = np.array([self._of_words.get(word, other) for word in words(text)[:room]], dtype=np.int16)
        if not self.eos or not len(tokens):
            return tokens
        return np.append(tokens, np.int16(len(self.symbols) + 2))

    @cached_property
    def _of_words(self) -> dict[str, int]:
        return {symbol: token for token, symbol in enumerate(self.symbols, 1)}

    @cached_property
    def _of_code_points(self) -> NDArray[np.int16]:
        tokens = np.full(0x110000, len(self.symbols) + 1, np.int16)
        for token, symbol in enumerate(self.symbols, 1):
            tokens[ord(symbol)] = token
        return tokens

    def _pixels(self, image: NDArray[Any]) -> NDArray[np.uint8] | NDArray[np.int16]:
        h, w = image.shape[-2:]
        if (h, w) != (self.side, self.side):
            raise InputError(f"the image has {h} x {w} pixels; scale it to {self.side} x {self.side}")
        if self.kind == "grey":
            return (pillow_grey(image) if image.ndim == 3 else image).reshape(-1, 1)
        grey = (tensorflow_grey(image) if image.ndim == 3 else image).reshape(-1)
        return grey if self.inputs.zero_is_padding else grey.astype(np.int16) + np.int16(1)


def numbers(stored: NDArray[Any], scale: float, shift: float) -> NDArray[np.float32]:
    """Return the numbers that a network sees, in the arithmetic of the loader."""
    return stored.astype(np.float32) * np.float32(scale) + np.float32(shift)


def words(text: str) -> list[str]:
    """Return the words of a text: what blanks separate, without parentheses."""
    return text.translate(_PARENTHESES).split()


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code point of each character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def tensorflow_grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert uint8 (3, h, w) to grey (h, w) as `tf.image.rgb_to_grayscale` does: floor(255.5 * y) for y in 0 ... 1."""
    y = np.tensordot(_TENSORFLOW_GREY, rgb.astype(np.float32) * np.float32(1 / 255), 1)
    grey: NDArray[np.uint8] = (y * np.float32(255.5)).astype(np.uint8)
    return grey


def pillow_grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert uint8 (3, h, w) to grey (h, w) as Pillow's mode L does, the luma of ITU-R 601 rounded."""
    r, g, b = rgb.astype(np.uint32)
    grey: NDArray[np.uint8] = ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16).astype(np.uint8)
    return grey
