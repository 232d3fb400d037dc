"""RoIAlign as matrix products, for inference on a CPU.

A bin of RoIAlign is the mean of samples on a grid, each interpolated between four positions. Both the grid and the
interpolation are products of one factor per axis, so the bins of a box are `rows @ window @ columns.T`: the weights of
the rows and columns of the map for each bin, and the window of the map that the samples touch. Large boxes have up to
64 samples a bin, and products of matrices are what a CPU is best at.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def align(x: Tensor, rois: Tensor, side: int, scale: float) -> Tensor:
    """Return `torchvision.ops.roi_align(x, rois, side, scale, sampling_ratio=0, aligned=True)`, to rounding.

    Args:
        x: a feature map (b, c, h, w) on the CPU; without a copy if it is in channels_last layout.
        rois: (n, 5), the index of an image in the batch, then a box, xyxy.

    Returns:
        (n, c, side, side)
    """
    with torch.autocast("cpu", enabled=False):  # as torchvision: half a pixel matters
        return _align(x, rois, side, scale)


def _align(x: Tensor, rois: Tensor, side: int, scale: float) -> Tensor:
    height, width = x.shape[2:]
    pixels = x.permute(0, 2, 3, 1).contiguous()
    channels, start = pixels.shape[3], pixels.storage_offset()
    left, top, right, bottom = (rois[:, 1:] * scale - 0.5).unbind(1)
    rows = _weights(top, bottom - top, side, height)
    columns = _weights(left, right - left, side, width)
    features = x.new_empty(len(rois), channels, side, side)
    images = rois[:, 0].long().tolist()
    for each, image, (y, own_rows), (x_first, own_columns) in zip(
        features, images, rows.split(side), columns.split(side), strict=True
    ):
        h, w = own_rows.shape[1], own_columns.shape[1]
        first = start + ((image * height + y) * width + x_first) * channels
        window = pixels.as_strided((h, w * channels), (width * channels, 1), first)
        across = (own_rows @ window).view(side, w, channels)
        each.copy_((own_columns @ across).permute(2, 0, 1))  # side side c -> c side side
    return features


class _Weights(NamedTuple):
    """The weights of the positions along one axis for each bin of each box.

    Attributes:
        first: int64 (n,), the first position that a box needs.
        extent: int64 (n,), how many it needs, at least 1.
        values: for each box, (side, extent), one after the other.
    """

    first: Tensor
    extent: Tensor
    values: Tensor

    def split(self, side: int) -> list[tuple[int, Tensor]]:
        """Return the first position of each box, and its weights (side, extent)."""
        parts = torch.split(self.values, (self.extent * side).tolist())
        return [(first, part.view(side, -1)) for first, part in zip(self.first.tolist(), parts, strict=True)]


def _weights(start: Tensor, length: Tensor, side: int, limit: int) -> _Weights:
    """Return the weights for boxes that start at `start` and are `length` long, on a map of `limit` positions."""
    n = len(start)
    step = length / side
    samples = step.ceil().long().clamp(min=0)
    box = torch.repeat_interleave(torch.arange(n), samples * side)
    number = torch.arange(len(box)) - (torch.cumsum(samples * side, 0) - samples * side)[box]
    own = samples[box]
    bin_, sample = number // own, number % own
    place = start[box] + bin_ * step[box] + (sample + 0.5) * step[box] / own
    inside = (place >= -1) & (place <= limit)  # others count as zeros
    place = place.clamp(0, limit - 1)
    low = place.long()
    high = (low + 1).clamp(max=limit - 1)
    share = place - low

    none = torch.zeros(n, dtype=torch.int64)
    first = none.scatter_reduce(0, box, low, "amin", include_self=False)
    extent = none.scatter_reduce(0, box, high, "amax", include_self=False) - first + 1
    offset = torch.cumsum(extent * side, 0) - extent * side
    row = offset[box] + bin_ * extent[box] - first[box]
    weight = inside / own.to(start.dtype)
    values = start.new_zeros(int((extent * side).sum()))
    values.index_add_(0, row + low, weight * (1 - share))
    values.index_add_(0, row + high, weight * share)
    return _Weights(first, extent, values)
