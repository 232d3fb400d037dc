"""The images with the worst results, drawn small enough for a record."""

from __future__ import annotations

import base64
import io
from bisect import insort
from collections.abc import Callable
from itertools import chain

from PIL import Image
from torch import Tensor

from modernet.processes import ALONE, Processes

_MOST = 12
MOST_PIXELS = 320 * 240
"""Of a small drawing."""
_LONGEST = 1200  # pixels of a side
_QUALITY = 60  # JPEG's, for 5 to 10 kB


class Misses:
    """Keep the images with the lowest scores of all that are added, with a drawing of each."""

    def __init__(self) -> None:
        self._worst: list[tuple[float, int, dict[str, str]]] = []

    def add(self, score: float, position: int, image: str, why: str, draw: Callable[[], Tensor]) -> None:
        """Add an image.

        Args:
            score: lower is worse.
            position: of the image in its split: of equal scores, the first is kept.
            image: its name.
            why: what is wrong, in a few words.
            draw: makes the drawing, uint8 (3, h, w); called only for an image that is among the worst so far.
        """
        if len(self._worst) == _MOST and (score, position) >= self._worst[-1][:2]:
            return
        entry = {"image": image, "why": why, "jpeg": small_jpeg(draw())}
        insort(self._worst, (score, position, entry), key=lambda kept: kept[:2])
        del self._worst[_MOST:]

    def gather(self, processes: Processes = ALONE) -> list[dict[str, str]]:
        """Return the worst images of all processes for a record's `details`, the worst first."""
        found = sorted(chain.from_iterable(processes.gather(self._worst)), key=lambda kept: kept[:2])
        return [entry for *_, entry in found[:_MOST]]


def small_jpeg(drawing_u8: Tensor) -> str:
    """Return a drawing, uint8 (3, h, w), as a JPEG in base64, of about 76,800 pixels.

    A larger one is scaled down, a smaller one is enlarged by a whole factor, so that its pixels stay sharp.
    """
    image = Image.fromarray(drawing_u8.permute(1, 2, 0).contiguous().numpy())  # c h w -> h w c
    scale = min((MOST_PIXELS / (image.width * image.height)) ** 0.5, _LONGEST / max(image.size))
    if scale < 1:
        size = tuple(max(round(side * scale), 1) for side in image.size)
        image = image.resize(size, Image.Resampling.LANCZOS)
    elif scale >= 2:
        image = image.resize((image.width * int(scale), image.height * int(scale)), Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return base64.b64encode(file.getvalue()).decode()
