"""Segment whole images of any size: resized, in windows, at several scales, mirrored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from modernet.data.images.views import Box, View, covering_scale
from modernet.errors import InputError
from modernet.preparation import Preparation, Size
from modernet.segmentation.resizing import resized_rows

Logits = Callable[[Tensor], Tensor]
"""Images, float32 (b, 3, h, w) -> logits (b, k, h, w)."""

_MOST_PROBABILITIES = 2**24  # in memory at a time, several times over: those of an image of 150 classes may need 30 GB


@dataclass(frozen=True)
class Inference:
    """How a network looks at an image.

    Attributes:
        window: side in pixels of the square windows that it sees one by one; 0: the whole image at once.
        stride: pixels from one window to the next.
        scales: factors on the size that the image is prepared for; their probabilities are averaged.
        flip: whether mirrored images are averaged as well.
    """

    window: int = 0
    stride: int = 0
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if self.stride and not self.window:
            raise InputError(f"stride is {self.stride}, from one window to the next; give the side of a window too")
        if self.window and not 0 < self.stride <= self.window:
            raise InputError(f"stride is {self.stride}; give 1 to {self.window} pixels, or windows would leave gaps")
        if not self.scales or min(self.scales) <= 0:
            raise InputError(f"scales is {self.scales}; give one or more factors above 0, such as 0.75, 1, 1.25")


WHOLE = Inference()


def class_probabilities(
    network: Logits,
    images_u8: Tensor,
    preparation: Preparation,
    inference: Inference = WHOLE,
    device: torch.device | None = None,
) -> Tensor:
    """Return the probability of each class at each pixel of images of one size: float32 (b, k, h, w).

    Arguments as of `probability_strips`, which needs less memory.
    """
    strips = probability_strips(network, images_u8, preparation, inference, device)
    return torch.cat([probabilities for _, probabilities in strips], 2)


def probability_strips(
    network: Logits,
    images_u8: Tensor,
    preparation: Preparation,
    inference: Inference = WHOLE,
    device: torch.device | None = None,
    *,
    most: int = _MOST_PROBABILITIES,
) -> Iterator[tuple[slice, Tensor]]:
    """Yield the probability of each class at each pixel of images of one size, in strips of rows from the top.

    An image is scaled, without cutting or padding, so that it just covers the size that the network was trained for;
    logits are enlarged to the image's own size. Windows, scales and flips are those of OpenMMLab's `slide` and
    `aug_test`: the last window of a row ends at the border, logits are averaged where windows overlap, and
    probabilities over scales and flips. Of these either the logits are in memory, or the sum of probabilities so far,
    whichever is smaller.

    Args:
        images_u8: uint8 (b, 3, h, w), as stored, on the CPU.
        device: of the network and the result; None is the CPU.
        most: values in a strip, if that is one row or more; results depend on it by rounding only.

    Yields:
        The rows of a strip, and float32 (b, k, rows, w).
    """
    h, w = images_u8.shape[-2:]
    views = list(product(inference.scales, (False, True) if inference.flip else (False,)))
    kept: list[Tensor] = []  # logits of views
    total: Tensor | None = None  # probabilities of those before

    def seen_in(scale: float, flipped: bool) -> Tensor:
        view = View(Box(0, 0, h, w), input_size((h, w), preparation, scale), flipped)
        seen = torch.stack([view.show(image, preparation.interpolation) for image in images_u8])
        seen = seen if device is None else seen.to(device)
        logits = _windowed(network, preparation.normalise(seen), inference).float()
        return logits.flip(-1) if flipped else logits

    def summed() -> Iterator[tuple[slice, Tensor]]:
        step = max(most // (kept[0][:, :, 0, 0].numel() * w), 1)
        for top in range(0, h, step):
            rows = range(top, min(top + step, h))
            so_far = 0 if total is None else total[:, :, top : rows.stop]
            each = (resized_rows(logits, (h, w), rows).softmax(1) for logits in kept)
            yield slice(top, rows.stop), torch.as_tensor(sum(each, so_far))

    for scale, flipped in views:
        if kept and sum(map(torch.numel, kept)) > kept[0][:, :, 0, 0].numel() * h * w:  # the sum needs less memory
            total = kept[0].new_zeros(*kept[0].shape[:2], h, w) if total is None else total
            for rows, probabilities in summed():
                total[:, :, rows] = probabilities
            kept.clear()
        kept.append(seen_in(scale, flipped))
    for rows, probabilities in summed():
        yield rows, probabilities / len(views)


def input_size(size: Size, preparation: Preparation, scale: float = 1.0) -> Size:
    """Return the size to which an image of `size` is scaled: it just covers the prepared one times `scale`."""
    h, w = size
    height, width = (int(side * scale) for side in preparation.size)
    factor = covering_scale(size, (height, width))
    return max(int(h * factor + 0.5), 2), max(int(w * factor + 0.5), 2)


def _windowed(network: Logits, images: Tensor, inference: Inference) -> Tensor:
    """Return logits (b, k, h, w) of normalised images (b, 3, h, w)."""
    h, w = images.shape[-2:]
    side = inference.window
    if not side or (h <= side and w <= side):
        return network(images)
    total, count = torch.zeros(()), torch.zeros(1, 1, h, w, device=images.device)
    for top, left in product(_starts(h, inference), _starts(w, inference)):
        part = (..., slice(top, top + side), slice(left, left + side))
        logits = network(images[part]).float()
        if total.ndim == 0:
            total = logits.new_zeros(len(images), logits.shape[1], h, w)
        total[part] += logits
        count[part] += 1
    return total / count


def _starts(length: int, inference: Inference) -> list[int]:
    """Return where windows begin along one axis; the last one ends at the border."""
    last = max(length - inference.window, 0)
    return [*range(0, last, inference.stride), last]
