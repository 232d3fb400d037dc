"""Write charts as PNG files, with their title and notes."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modernet.files.atomic import whole_file
from modernet.report.drawing.figure import WIDTH, Spec, figure, quantitative
from modernet.report.drawing.theme import FAINT, INK, themed

if TYPE_CHECKING:
    from PIL import Image

_FONT = "Liberation Sans"  # part of vl-convert, so that files are the same on every machine
_MARGIN = 10  # pixels, left of texts
SCALE = 2
"""Pixels of the file per pixel of the page."""
_NOTE_CHARACTERS = 165  # per line


@dataclass(frozen=True)
class Panel:
    """One chart of an image.

    Attributes:
        figure: from `figure`; or a picture of PIL's, of the width of the file.
        heading: above the chart; empty for none.
        notes: below it, each wrapped into lines.
    """

    figure: Spec | Image.Image
    heading: str = ""
    notes: Sequence[str] = ()


def write_png(path: Path, title: str, subtitle: str, panels: Sequence[Panel]) -> None:
    """Write panels below each other as a PNG, 1800 pixels wide, atomically."""
    from PIL import Image

    strips = [_texts([(title, 17, "bold", INK), (subtitle, 11.5, "normal", FAINT)], gap=12)]
    for panel in panels:
        if panel.heading:
            strips.append(_texts([(panel.heading, 13, "bold", INK)], gap=4))
        strips.append(_chart(panel.figure) if isinstance(panel.figure, dict) else panel.figure)
        lines = [line for note in panel.notes for line in textwrap.wrap(note, _NOTE_CHARACTERS)]
        strips.append(_texts([(line, 10, "normal", FAINT) for line in lines], gap=10))
    whole = Image.new("RGB", (WIDTH * SCALE, sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        whole.paste(strip, (0, top))
        top += strip.height
    with whole_file(path) as unfinished:
        whole.save(unfinished, format="png", optimize=True)


def warm_up() -> None:
    """Draw a chart and forget it: the first one of a process takes seconds more than the others."""
    point = {"mark": "point", "encoding": {"x": quantitative("x"), "y": quantitative("x")}}
    _chart(figure([{"x": 0}], [point], height=20))


def _chart(figure: Spec) -> Any:
    return _drawn({**figure, "padding": {"left": _MARGIN, "right": 14, "top": 4, "bottom": 10}})


def _texts(lines: Sequence[tuple[str, float, str, str]], *, gap: int) -> Any:
    """Draw lines of text: content, size, weight and colour of each; `gap` is the space below them."""
    texts: list[dict[str, Any]] = []
    bottom = 4.0 if lines else 0.0
    for text, size, weight, color in lines:
        bottom += 1.5 * size
        texts.append({"x": _MARGIN, "y": bottom, "text": text, "fontSize": size, "fontWeight": weight, "fill": color})
    return text_strip(texts, round(bottom) + gap, WIDTH - 2 * _MARGIN)


def text_strip(texts: Sequence[Mapping[str, Any]], height: int, limit: int) -> Image.Image:
    """Draw texts on white, of the width of the file.

    Args:
        texts: properties of Vega's text marks, `x` and `y` in pixels of the page among them.
        height: in pixels of the page.
        limit: likewise; longer texts are cut.
    """
    entered = [{name: {"value": value} for name, value in {**text, "limit": limit}.items()} for text in texts]
    marks = [{"type": "text", "encode": {"enter": enter}} for enter in entered]
    spec = {"width": WIDTH, "height": height, "autosize": "none", "padding": 0, "marks": marks}
    strip: Image.Image = _drawn(spec)
    return strip


def _drawn(vega: Spec) -> Any:
    import vl_convert
    from PIL import Image

    spec = themed(vega)
    spec["config"] = {**spec.get("config", {}), "background": "white", "font": _FONT}
    return Image.open(io.BytesIO(vl_convert.vega_to_png(spec, scale=SCALE))).convert("RGB")
