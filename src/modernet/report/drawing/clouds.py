"""Pictures of point clouds in a row, and what their colours mean."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modernet.report.drawing.figure import WIDTH, figure
from modernet.report.drawing.png import SCALE, text_strip
from modernet.report.section import Chart

if TYPE_CHECKING:
    from PIL import Image

_COLUMNS = 5
_ROW = 20  # pixels
_GAP = 10
_CAPTION = 26  # pixels below a picture


def legend(colours: Sequence[Sequence[str]]) -> Chart | None:
    """Return the colours of classes as a chart; None if there are none.

    Args:
        colours: pairs of a class and its `#rrggbb`.
    """
    if not colours:
        return None
    rows = [
        {"column": index % _COLUMNS, "row": index // _COLUMNS, "name": name, "colour": colour}
        for index, (name, colour) in enumerate(colours)
    ]
    x = {"field": "column", "type": "quantitative", "axis": None, "scale": {"domain": [0, _COLUMNS]}}
    y = {"field": "row", "type": "ordinal", "axis": None}
    square = {"type": "point", "shape": "square", "filled": True, "size": 120, "opacity": 1, "xOffset": 8}
    layers = [
        {"mark": square, "encoding": {"x": x, "y": y, "color": {"field": "colour", "type": "nominal", "scale": None}}},
        {"mark": {"type": "text", "align": "left", "dx": 20}, "encoding": {"x": x, "y": y, "text": {"field": "name"}}},
    ]
    caption = f"Colours of the classes: {', '.join(name for name, _ in colours)}."
    return Chart(caption, figure(rows, layers, height={"step": _ROW}))


def gallery(pictures: Sequence[Mapping[str, str]]) -> Image.Image:
    """Draw pictures of one size, `jpeg` in base64, in rows of the width of the file, each above its `why`."""
    from PIL import Image

    images = [Image.open(io.BytesIO(base64.b64decode(picture["jpeg"]))) for picture in pictures]
    width, height = images[0].width + _GAP, images[0].height + _CAPTION
    columns = (WIDTH - _GAP) // width
    places = [(_GAP + index % columns * width, index // columns * height) for index in range(len(images))]
    captions = [
        {"x": left, "y": top + height - _CAPTION / 2, "text": picture["why"], "fontSize": 11}
        for (left, top), picture in zip(places, pictures, strict=True)
    ]
    whole = text_strip(captions, -(-len(images) // columns) * height, width - _GAP)
    for (left, top), image in zip(places, images, strict=True):
        larger = image.resize((SCALE * image.width, SCALE * image.height), Image.Resampling.BICUBIC)
        whole.paste(larger, (SCALE * left, SCALE * top))
    return whole
