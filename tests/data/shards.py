"""Images and tar shards for tests."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def png(seed: int, size: int = 8) -> bytes:
    """An image of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, files: Mapping[str, bytes | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_shards(folder: Path, split: str = "train", shards: int = 3, n: int = 8, first: int = 0) -> Path:
    """`split-0.tar`, ... with `n` images each, cats and dogs in turn."""
    for shard in range(shards):
        samples: dict[str, bytes | str] = {}
        for number in range(n):
            seed = first + shard * n + number
            samples |= {f"{seed:04}.png": png(seed), f"{seed:04}.cls": ("cat", "dog")[number % 2]}
        write_tar(folder / f"{split}-{shard}.tar", samples)
    return folder
