"""Objects drawn on their image: boxes, masks, names and scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from modernet.data.targets import BoxTargets
from modernet.detection.detections import Detections
from modernet.detection.pairing import pair
from modernet.files.atomic import whole_file
from modernet.palette import palette

_BLEND = 0.5
"""Share of the class's colour where a mask is drawn over the image."""

_SMALLEST_FONT = 11  # pixels
_ROWS = 64  # blended at once, for memory that does not grow with the image

_Colour = tuple[int, int, int]
_Corners = tuple[int, int, int, int]  # left, top, right and bottom pixels, all within the box


def draw(
    image_u8: Tensor,
    boxes_xyxy: Tensor,
    labels: Tensor,
    scores: Tensor | None,
    masks: Iterator[Tensor] | None,
    classes: Sequence[str],
) -> Tensor:
    """Draw objects on an image: their boxes and masks in the colours of their classes, with names and scores.

    Lines and text grow with the image. Where objects overlap, the first one is on top.

    Args:
        image_u8: uint8 (3, h, w).
        boxes_xyxy: (n, 4), in pixels of the image, the best object first.
        labels: int64 (n,)
        scores: (n,), in [0, 1]; None for none, as of annotations.
        masks: bool (h, w) of each object, asked for one at a time; None for boxes alone.
        classes: names of the classes.

    Returns:
        uint8 (3, h, w)
    """
    canvas = _Canvas(image_u8)
    numbers = labels.tolist()
    colours = palette(max(len(classes), 1))
    canvas.fill(masks or iter(()), [colours[label] for label in numbers])
    shown = repeat("", len(numbers)) if scores is None else (f" {100 * score:.0f} %" for score in scores.tolist())
    texts = [f"{classes[label]}{score}" for label, score in zip(numbers, shown, strict=True)]
    for box, label, text in reversed(list(zip(boxes_xyxy.tolist(), numbers, texts, strict=True))):
        canvas.box(box, _rgb(colours[label]))
        canvas.write(box, text, _rgb(colours[label]))
    return canvas.image()


def draw_miss(
    image_u8: Tensor, found: Detections, truth: BoxTargets, classes: Sequence[str], *, most_pixels: int | None = None
) -> Tensor:
    """Draw what was found next to what is there: detections with lines, the truth with dashed lines.

    They are paired by `pair`, as where mistakes are counted. A missed object is filled with its colour and called so.
    What is right has no text; what does not count is left out, and so are crowds.

    Args:
        image_u8: uint8 (3, h, w).
        found: in pixels of the image.
        truth: of this one image, in its pixels.
        classes: names of the classes.
        most_pixels: of the result: a larger image is scaled down first, and a smaller one enlarged by a whole factor,
            so that lines and text are legible.

    Returns:
        uint8 (3, h, w), or of another size.
    """
    pairs = pair(found, truth)
    missed = pairs.missed.tolist()
    labels, true_labels = found.labels.tolist(), truth.labels.tolist()
    boxes, true_boxes = found.boxes_xyxy.tolist(), truth.boxes_xyxy.tolist()

    canvas = _Canvas(image_u8, most_pixels)
    colours = [_rgb(colour) for colour in palette(max(len(classes), 1))]
    for index in missed:
        canvas.shade(true_boxes[index], colours[true_labels[index]])
    for index, taken in reversed(list(zip(pairs.found.tolist(), pairs.taken.tolist(), strict=True))):  # the best last
        box, label = boxes[index], labels[index]
        canvas.box(box, colours[label])
        text = f"{classes[label]} {100 * float(found.scores[index]):.0f} %"
        if taken < 0:
            canvas.write(box, text, colours[label])
        elif true_labels[taken] != label:
            canvas.write(box, f"{classes[true_labels[taken]]} taken for {text}", colours[label])
    for index in (~truth.crowd).nonzero().flatten().tolist():
        box, label = true_boxes[index], true_labels[index]
        canvas.box(box, colours[label], dashed=True)
        if index in missed:
            canvas.write(box, f"missed {classes[label]}", colours[label])
    return canvas.image()


def save(path: Path, drawing_u8: Tensor) -> None:
    """Write a drawing, uint8 (3, h, w), as a PNG, atomically."""
    with whole_file(path) as unfinished:
        Image.fromarray(drawing_u8.permute(1, 2, 0).contiguous().numpy()).save(unfinished, "PNG")


class _Canvas:
    """An image with a pen that suits its size; boxes are given in pixels of the original image."""

    def __init__(self, image_u8: Tensor, most_pixels: int | None = None) -> None:
        self._image = Image.fromarray(image_u8.permute(1, 2, 0).contiguous().cpu().numpy())  # c h w -> h w c
        self._scale = 1.0
        if most_pixels is not None:
            fitting = (most_pixels / (self._image.width * self._image.height)) ** 0.5
            self._scale = fitting if fitting < 1 else int(fitting)
            size = [max(round(side * self._scale), 1) for side in self._image.size]
            resampling = Image.Resampling.LANCZOS if fitting < 1 else Image.Resampling.NEAREST
            self._image = self._image.resize((size[0], size[1]), resampling)
        side = (self._image.width * self._image.height) ** 0.5
        self._line = max(round(side / 250), 1)
        self._font_size = max(side / 40, _SMALLEST_FONT)

    def image(self) -> Tensor:
        return torch.from_numpy(np.asarray(self._image).copy()).permute(2, 0, 1)

    def fill(self, masks: Iterable[Tensor], colours: Sequence[NDArray[np.uint8]]) -> None:
        """Blend the colours of objects into their masks; of objects that overlap, that of the first one."""
        pixels = np.asarray(self._image).copy()
        free = np.ones(pixels.shape[:2], dtype=bool)
        for mask, colour in zip(masks, colours, strict=False):
            inside = mask.cpu().numpy() & free
            for top in range(0, len(pixels), _ROWS):
                part, where = pixels[top : top + _ROWS], inside[top : top + _ROWS]
                part[where] = (part[where] * (1 - _BLEND) + colour * _BLEND).round().astype(np.uint8)
            free &= ~inside
        self._image = Image.fromarray(pixels)

    def shade(self, box: Sequence[float], colour: _Colour) -> None:
        """Blend a colour into a box."""
        left, top, right, bottom = self._corners(box)
        area = (left, top, right + 1, bottom + 1)
        inside = self._image.crop(area)
        self._image.paste(Image.blend(inside, Image.new("RGB", inside.size, colour), _BLEND), area)

    def box(self, box: Sequence[float], colour: _Colour, *, dashed: bool = False) -> None:
        corners, pen = self._corners(box), ImageDraw.Draw(self._image)
        if not dashed:
            pen.rectangle(corners, outline=colour, width=self._line)
            return
        pen.rectangle(corners, outline="white", width=self._line)
        for dash in _dashes(corners, self._line):
            pen.rectangle(dash, fill=colour)

    def write(self, box: Sequence[float], text: str, colour: _Colour) -> None:
        """Write a text on a plate of a colour: above a box where there is room, else inside it, always in the image."""
        left, top, *_ = self._corners(box)
        pen, gap = ImageDraw.Draw(self._image), self._line
        font = ImageFont.load_default(self._font_size)
        while text and pen.textlength(text, font) + 2 * gap > self._image.width:
            text = text[:-1]
        ascent, descent = font.getmetrics() if isinstance(font, ImageFont.FreeTypeFont) else (self._font_size, 0)
        width, height = round(pen.textlength(text, font)) + 2 * gap, ascent + descent
        left = max(min(left, self._image.width - width), 0)
        top = top - height if top >= height else max(min(top, self._image.height - height), 0)
        pen.rectangle((left, top, left + width - 1, top + height - 1), fill=colour)
        pen.text((left + gap, top), text, fill="black" if _luminance(colour) > 0.179 else "white", font=font)

    def _corners(self, box: Sequence[float]) -> _Corners:
        (w, h), (x1, y1, x2, y2) = self._image.size, (round(side * self._scale) for side in box)
        left, top = max(min(x1, w - 1), 0), max(min(y1, h - 1), 0)
        return left, top, max(min(x2, w) - 1, left), max(min(y2, h) - 1, top)


def _dashes(corners: _Corners, line: int) -> Iterator[_Corners]:
    """Yield the dashes along the sides of a box: rectangles, four lines wide and as far apart."""
    left, top, right, bottom = corners
    for start in range(left, right + 1, 8 * line):
        end = min(start + 4 * line - 1, right)
        yield start, top, end, min(top + line - 1, bottom)
        yield start, max(bottom - line + 1, top), end, bottom
    for start in range(top, bottom + 1, 8 * line):
        end = min(start + 4 * line - 1, bottom)
        yield left, start, min(left + line - 1, right), end
        yield max(right - line + 1, left), start, right, end


def _rgb(colour: NDArray[np.uint8]) -> _Colour:
    red, green, blue = colour.tolist()
    return red, green, blue


def _luminance(colour: _Colour) -> float:
    """Return WCAG's relative luminance; above 0.179, black has more contrast to a colour than white has."""
    red, green, blue = ((share / 255 + 0.055) / 1.055 for share in colour)
    return float(0.2126 * red**2.4 + 0.7152 * green**2.4 + 0.0722 * blue**2.4)
