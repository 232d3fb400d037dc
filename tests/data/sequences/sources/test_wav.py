from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from modernet.data.sequences.sources.wav import UnreadableWav, read_wav

SAMPLES = np.array([0.0, 0.5, -1.0, 0.25, 0.75, -0.125])


def pcm(samples: np.ndarray, width: int) -> bytes:
    """Return samples as integers of `width` bytes."""
    if width == 1:
        return (samples * 128 + 128).astype(np.uint8).tobytes()
    integers = (samples * 2 ** (8 * width - 1)).astype("<i8")
    return b"".join(int(value).to_bytes(width, "little", signed=True) for value in integers)


def wav(content: bytes, kind: int, bits: int, channels: int = 1, *, extra: bytes = b"", before: bytes = b"") -> bytes:
    """Return a file as the specification has it."""
    width = bits // 8 * channels
    form = struct.pack("<HHIIHH", kind, channels, 8000, 8000 * width, width, bits) + extra
    chunks = (
        b"fmt " + struct.pack("<I", len(form)) + form + before + b"data" + struct.pack("<I", len(content)) + content
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_pcm_is_read_as_python_writes_it(tmp_path: Path, width: int) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(width)
        out.setframerate(16_000)
        out.writeframes(pcm(SAMPLES, width))
    found = read_wav(write(tmp_path / "a.wav", file.getvalue()))
    assert found.rate == 16_000
    assert found.samples.dtype == np.float32
    assert found.samples.tolist() == SAMPLES.tolist()


@pytest.mark.parametrize("bits", [32, 64])
def test_floating_point_numbers_are_read_as_they_are(tmp_path: Path, bits: int) -> None:
    found = read_wav(write(tmp_path / "a.wav", wav(SAMPLES.astype(f"<f{bits // 8}").tobytes(), 3, bits)))
    assert found.samples.tolist() == SAMPLES.tolist()


def test_channels_are_averaged(tmp_path: Path) -> None:
    found = read_wav(write(tmp_path / "a.wav", wav(pcm(SAMPLES, 2), 1, 16, channels=2)))
    assert found.samples.tolist() == [0.25, -0.375, 0.3125]


def test_other_chunks_are_passed_over(tmp_path: Path) -> None:
    before = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # of odd length, with a byte to fill it up
    found = read_wav(write(tmp_path / "a.wav", wav(pcm(SAMPLES, 2), 1, 16, before=before) + b"id3 \0"))
    assert found.samples.tolist() == SAMPLES.tolist()


def test_the_extensible_format_names_its_own(tmp_path: Path) -> None:
    extra = struct.pack("<HHI", 22, 24, 4) + struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    found = read_wav(write(tmp_path / "a.wav", wav(pcm(SAMPLES, 3), 0xFFFE, 24, extra=extra)))
    assert found.samples.tolist() == SAMPLES.tolist()


def test_a_stream_that_does_not_know_its_size_goes_to_the_end(tmp_path: Path) -> None:
    content = wav(pcm(SAMPLES, 2), 1, 16)
    endless = content.replace(b"data" + struct.pack("<I", 12), b"data\xff\xff\xff\xff")
    assert read_wav(write(tmp_path / "a.wav", endless)).samples.tolist() == SAMPLES.tolist()


WHOLE = wav(pcm(SAMPLES, 2), 1, 16)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ID3\x03", r"^is no WAV file; convert it, as with ffmpeg"),
        (WHOLE[:-3], r"^is truncated: it has 9 of 12 bytes of samples$"),
        (WHOLE[:38], r"^is truncated: it has no samples$"),
        (WHOLE[:30], r"^is damaged: its format is incomplete$"),
        (WHOLE[:12] + WHOLE[36:], r"^is damaged: its samples come before their format$"),
        (wav(b"", 1, 16), r"^has no samples$"),
        (wav(SAMPLES.tobytes(), 7, 8), r"^has the format 7 with 8 bits; read are PCM"),
        (wav(SAMPLES.tobytes(), 1, 16, channels=0), r"^is damaged: it has 0 channels"),
        (wav(np.array([np.nan], "<f4").tobytes(), 3, 32), r"^has samples that are not finite$"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UnreadableWav, match=message):
        read_wav(write(tmp_path / "a.wav", content))


def test_a_file_that_is_missing_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnreadableWav, match=r"^cannot be read \(No such file or directory\)$"):
        read_wav(tmp_path / "a.wav")
