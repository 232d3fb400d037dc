"""Small data sets on disk, written for each test."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WriteImage = Callable[..., Path]
WriteFolder = Callable[..., Path]


@pytest.fixture
def write_image() -> WriteImage:
    """Write an image of random pixels; the same seed gives the same pixels."""

    def write(path: Path, size: tuple[int, int] = (8, 8), seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def write_folder(write_image: WriteImage) -> WriteFolder:
    """Write class folders with `n` images each; no two images are alike."""

    def write(
        root: Path, classes: tuple[str, ...] = ("cat", "dog"), n: int = 10, size: tuple[int, int] = (8, 8)
    ) -> Path:
        for name in classes:
            for number in range(n):
                path = root / name / f"{number:03}.png"
                write_image(path, size, seed=zlib.crc32("/".join(path.parts[-3:]).encode(errors="surrogateescape")))
        return root

    return write
