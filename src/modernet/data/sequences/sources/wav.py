"""WAV files: 8, 16, 24 and 32-bit PCM and floating-point numbers, one channel or more."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_ENDLESS = 0xFFFFFFFF  # the size that a program writes that cannot go back to the header


class UnreadableWav(Exception):
    """A file that cannot be read; the message says why, after its name."""


class Wav(NamedTuple):
    samples: NDArray[np.float32]
    """(n,) in -1 ... 1, the mean of the channels."""
    rate: int
    """Samples a second."""


class _Format(NamedTuple):
    kind: int
    channels: int
    rate: int
    bits: int


def read_wav(path: Path) -> Wav:
    """Read a file.

    Raises:
        UnreadableWav: it is missing, truncated, of another format, or has numbers that are not finite.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableWav(f"cannot be read ({error.strerror})") from error
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise UnreadableWav("is no WAV file; convert it, as with ffmpeg -i FILE FILE.wav")
    form = None
    for name, chunk, size in _chunks(content):
        if name == b"fmt ":
            form = _format(chunk)
        elif name == b"data":
            if form is None:
                raise UnreadableWav("is damaged: its samples come before their format")
            if len(chunk) < size != _ENDLESS:
                raise UnreadableWav(f"is truncated: it has {len(chunk)} of {size} bytes of samples")
            return Wav(_mono(chunk, form), form.rate)
    raise UnreadableWav("is truncated: it has no samples")


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield the name of each chunk, its content as far as it is there, and its size."""
    start = 12
    while start + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, start)
        yield name, content[start + 8 : start + 8 + size], size
        start += 8 + size + size % 2


def _format(chunk: bytes) -> _Format:
    if len(chunk) < 16:
        raise UnreadableWav("is damaged: its format is incomplete")
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if kind == _EXTENSIBLE and len(chunk) >= 26:
        (kind,) = struct.unpack_from("<H", chunk, 24)  # the first bytes of the format's GUID
    if (kind, bits) not in {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32), (_FLOAT, 64)}:
        raise UnreadableWav(
            f"has the format {kind} with {bits} bits; read are PCM of 8 to 32 bits and floating-point numbers: "
            "convert it, as with ffmpeg -i FILE -c:a pcm_s16le FILE.wav"
        )
    if not channels or not rate:
        raise UnreadableWav(f"is damaged: it has {channels} channels and {rate} samples a second")
    return _Format(kind, channels, rate, bits)


def _mono(chunk: bytes, form: _Format) -> NDArray[np.float32]:
    width = form.bits // 8
    content = chunk[: len(chunk) // (width * form.channels) * width * form.channels]
    if form.kind == _FLOAT:
        samples = np.frombuffer(content, f"<f{width}").astype(np.float64)
    elif width == 1:
        samples = np.frombuffer(content, np.uint8) / 128 - 1
    elif width == 3:
        bytes_of = np.frombuffer(content, np.uint8).reshape(-1, 3)
        padded = np.zeros((len(bytes_of), 4), np.uint8)
        padded[:, 1:] = bytes_of  # the upper bytes of 32 bits
        samples = padded.view("<i4")[:, 0] / 2**31
    else:
        samples = np.frombuffer(content, f"<i{width}") / 2 ** (form.bits - 1)
    if not len(samples):
        raise UnreadableWav("has no samples")
    if not np.isfinite(samples).all():
        raise UnreadableWav("has samples that are not finite")
    mono: NDArray[np.float32] = samples.reshape(-1, form.channels).mean(1).astype(np.float32)
    return mono
