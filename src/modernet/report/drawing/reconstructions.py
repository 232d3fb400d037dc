"""What runs that predict hidden parts of images have predicted of some."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernet.records import Record
from modernet.report.drawing.figure import WIDTH
from modernet.report.drawing.png import SCALE, Panel, write_png
from modernet.report.section import Image

_DRAWN = (
    "Each shows an image, its visible cells, the prediction of all cells, and hidden cells predicted among the visible "
    "ones; {hidden:.0f} % of the cells are hidden."
)
_NORMALISED = (
    " Mean brightness and contrast of each predicted cell are those of the image itself: the network predicts only "
    "what is left."
)
_LOSSES = "The loss is the mean squared error of the hidden cells{relative}."
_COLUMNS = 2
_GAP = 20  # pixels


@dataclass(frozen=True)
class Reconstructions:
    """Those of one run.

    Attributes:
        label: of the run.
        split: which the images are of.
        images: each with its name, `image`; its loss in words, `why`; and the drawing, a `jpeg` in base64.
        caption: what is drawn.
        losses: what the losses are, where they are next to the drawings.
    """

    label: str
    split: str
    images: Sequence[Mapping[str, str]]
    caption: str
    losses: str


def reconstructions(label: str, run: Record) -> Reconstructions | None:
    """Return what a run has; None if it is another task's."""
    found = run.details.get("reconstructions")
    if not found:
        return None
    caption = _DRAWN.format(hidden=100 * found["mask_ratio"]) + (_NORMALISED if found["norm_pixels"] else "")
    losses = _LOSSES.format(relative=", relative to that contrast" if found["norm_pixels"] else "")
    return Reconstructions(label, found["split"], found["images"], caption, losses)


def reconstructions_image(data: str, found: Sequence[Reconstructions]) -> Image:
    """Return the file with the drawings of some runs on a data set."""
    return Image("reconstructions", functools.partial(_write_png, data, found))


def _write_png(data: str, found: Sequence[Reconstructions], path: Path) -> None:
    panels = [Panel(_gallery(each.images), f"{each.label}, {each.split} images", [each.caption]) for each in found]
    write_png(path, f"Pre-training on {data}", "what is predicted of hidden cells", panels)


def _gallery(images: Sequence[Mapping[str, str]]) -> Any:
    """Return the drawings in columns, each as wide as its column, as a picture of PIL's."""
    from PIL import Image as Picture

    width = (WIDTH * SCALE - (_COLUMNS + 1) * _GAP) // _COLUMNS
    stored = [Picture.open(io.BytesIO(base64.b64decode(each["jpeg"]))) for each in images]
    drawn = [each.resize((width, round(each.height * width / each.width))) for each in stored]
    rows = [drawn[first : first + _COLUMNS] for first in range(0, len(drawn), _COLUMNS)]
    heights = [max(each.height for each in row) + _GAP for row in rows]
    whole = Picture.new("RGB", (WIDTH * SCALE, sum(heights)), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, each in enumerate(row):
            whole.paste(each, (_GAP + column * (width + _GAP), top))
        top += height
    return whole
