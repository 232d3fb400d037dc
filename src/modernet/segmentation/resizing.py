"""Resizing of feature maps and logits."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.nn import functional as F


def resized(x: Tensor, size: Size | tuple[int, int]) -> Tensor:
    """Resize maps `(b, c, h, w)` bilinearly to an exact size, corners not aligned, as OpenMMLab does."""
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)


def resized_rows(x: Tensor, size: Size | tuple[int, int], rows: range) -> Tensor:
    """Return consecutive rows of `resized(x, size)`, to rounding, without the memory of the others.

    What a row holds does not depend on which others are asked for.

    Args:
        x: (b, c, h, w).
        rows: of the result, within `size[0]`.

    Returns:
        (b, c, len(rows), size[1])
    """
    h = x.shape[-2]
    if h != size[0]:
        place = torch.arange(rows.start, rows.stop, device=x.device, dtype=x.dtype)
        place = ((place + 0.5) * (h / size[0]) - 0.5).clamp(min=0)
        above = place.long().clamp(max=h - 1)
        share = (place - above)[:, None]
        x = x[..., above, :] * (1 - share) + x[..., (above + 1).clamp(max=h - 1), :] * share
    else:
        x = x[..., rows.start : rows.stop, :]
    return resized(x, (len(rows), size[1]))
