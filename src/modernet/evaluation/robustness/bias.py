"""What a classifier goes by: probes of texture against shape, and of background against the centre.

Each probe destroys one cue of the user's own images and measures the accuracy that is left. It needs no further set of
images, and so it is coarser than those that do: images whose texture contradicts their shape (Geirhos et al.,
"ImageNet-trained CNNs are biased towards texture", 2019) or objects cut out of their background (Xiao et al., "Noise or
signal: the role of image backgrounds in object recognition", 2020). A probe also makes images that no network was
trained on. So compare networks by it, not a network with perfection; it says what suffices, not what is used.

- Shuffled patches keep texture and small parts, and destroy the shape of the whole: the image is cut into 2 x 2, 4 x 4
  or 8 x 8 patches, which change places at random (Zhang and Zhu, "Interpreting adversarially trained convolutional
  neural networks", 2019). A bag of local features answers as before (Brendel and Bethge, "Approximating CNNs with
  bag-of-local-features models works surprisingly well on ImageNet", 2019).
- Smoothed texture keeps large edges and colours: the guided filter (He, Sun and Tang, "Guided image filtering", 2010)
  of the image by itself, with a radius of 8 pixels at 224 and ε = 0.2², flattens what varies by much less than 0.2 of
  the range.
- The centre alone and the border alone each show half of the pixels; the others have the mean colour that the network
  is normalised by. Photographers put objects into the centre: an answer from the border alone is one from background
  and cut-off parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data import Loader
from modernet.data.loading.reader import BatchTransform
from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.evaluation.answers import collect_answers
from modernet.evaluation.robustness.resampling import Estimate, share_estimates
from modernet.preparation import Preparation

_GRIDS = (2, 4, 8)
_SMALLEST_PATCH = 4  # pixels; smaller ones keep no texture either
_RADIUS = 8 / 224  # of the guided filter, relative to the shorter side
_EPSILON = 0.2**2  # of the guided filter, for images in [0, 1]


@dataclass(frozen=True)
class Probe:
    """Accuracy on images without some cue.

    Attributes:
        name: `"unchanged"`, `"patches_4"`, `"smooth"`, `"centre"`, `"border"`.
        title: for people.
        top1: accuracy in per cent.
    """

    name: str
    title: str
    top1: Estimate


@dataclass(frozen=True)
class Bias:
    """Accuracy of a classifier on the same images without this or that cue.

    Attributes:
        n: images.
        k: classes that it chooses among, so that guessing has an accuracy of 100 / k per cent.
        probes: the unchanged images first.
    """

    n: int
    k: int
    probes: Sequence[Probe]

    def metrics(self) -> dict[str, float]:
        """Return metrics of a record: `bias_{probe}_top1`, with `_low` and `_high`."""
        found: dict[str, float] = {}
        for each in self.probes:
            found |= each.top1.metrics(f"bias_{each.name}_top1")
        return found

    def detail(self) -> dict[str, Any]:
        """Return what a record's details hold: `probes`, a row each, and the accuracy of guessing in per cent."""
        rows = [
            {"probe": each.name, "title": each.title, "n": self.n, **each.top1.metrics("top1")} for each in self.probes
        ]
        return {"guessing": 100 / self.k, "probes": rows}


def probe_bias(
    network: nn.Module,
    preparation: Preparation,
    loader_with: Callable[[BatchTransform | None], Loader],
    *,
    seed: int = 0,
    columns: Tensor | None = None,
) -> Bias:
    """Measure the accuracy that is left without the shape of the whole, without texture, border or centre.

    Args:
        network: images `(b, 3, h, w)` -> logits `(b, k)`.
        preparation: of its images.
        loader_with: a transform, or None -> the images with it, in the same order each time; targets are classes.
        seed: of the places of patches, which an image has whatever its batch.
        columns: as `collect_answers` takes it.

    Raises:
        InputError: an image cannot be read.
        NonFiniteScores: a logit is NaN or infinite.
    """
    fill = tuple(255 * mean for mean in preparation.mean)
    transforms: dict[tuple[str, str], BatchTransform | None] = {("unchanged", "unchanged"): None}
    for grid in _GRIDS:
        if min(preparation.size) // grid >= _SMALLEST_PATCH:
            title = f"{grid} x {grid} patches shuffled"
            transforms[f"patches_{grid}", title] = partial(shuffle_patches, grid=grid, seed=seed)
    transforms["smooth", "texture smoothed"] = smooth_texture
    transforms["centre", "centre alone"] = partial(keep_half, centre=True, fill=fill)
    transforms["border", "border alone"] = partial(keep_half, centre=False, fill=fill)
    rights, k = [], 0
    for (_, title), transform in transforms.items():
        answers = collect_answers(network, loader_with(transform), title, columns)
        rights.append(answers.correct().numpy())
        k = answers.logits.shape[1]
    shares = share_estimates(np.stack(rights, 1))
    probes = [Probe(name, title, share) for (name, title), share in zip(transforms, shares, strict=True)]
    return Bias(len(rights[0]), k, probes)


def shuffle_patches(images: Tensor, positions: NDArray[np.int64], *, grid: int, seed: int = 0) -> Tensor:
    """Exchange the places of the patches of each image at random.

    Args:
        images: uint8 (b, 3, h, w).
        positions: of the images in their split, int64 (b,), which their order of patches depends on.
        grid: patches along each side. Rows and columns at the end that do not fill a patch stay.

    Returns:
        uint8 (b, 3, h, w)
    """
    b, c, h, w = images.shape
    h, w = h // grid, w // grid  # of a patch
    chance = ImageChance(seed, f"patches {grid}", positions.tolist(), images.device)
    order = torch.from_numpy(np.stack([stream.permutation(grid**2) for stream in chance.streams])).to(images.device)
    whole = images[:, :, : grid * h, : grid * w]
    patches = whole.reshape(b, c, grid, h, grid, w).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # b p c h w
    patches = patches[torch.arange(b, device=images.device)[:, None], order]
    shuffled = images.clone()
    shuffled[:, :, : grid * h, : grid * w] = (
        patches.reshape(b, grid, grid, c, h, w).permute(0, 3, 1, 4, 2, 5).reshape(whole.shape)
    )
    return shuffled


def smooth_texture(images: Tensor, positions: NDArray[np.int64]) -> Tensor:
    """Flatten what varies little around each pixel and keep large edges, by the guided filter.

    Args:
        images: uint8 (b, 3, h, w).
        positions: not used.

    Returns:
        uint8 (b, 3, h, w)
    """
    radius = max(round(_RADIUS * min(images.shape[-2:])), 1)
    x = images.float() / 255
    mean = _box_mean(x, radius)
    variance = (_box_mean(x.square(), radius) - mean.square()).clamp(min=0)
    slope = variance / (variance + _EPSILON)
    offset = mean - slope * mean
    smooth = _box_mean(slope, radius) * x + _box_mean(offset, radius)
    return (255 * smooth).round_().clamp_(0, 255).to(torch.uint8)


def keep_half(images: Tensor, positions: NDArray[np.int64], *, centre: bool, fill: Sequence[float]) -> Tensor:
    """Keep the central half of the pixels of each image, a rectangle of its shape, or the half around it.

    Args:
        images: uint8 (b, 3, h, w).
        positions: not used.
        centre: which half.
        fill: red, green and blue of the other half, in [0, 255].

    Returns:
        uint8 (b, 3, h, w)
    """
    h, w = images.shape[-2:]
    height, width = round(h * math.sqrt(0.5)), round(w * math.sqrt(0.5))
    top, left = (h - height) // 2, (w - width) // 2
    colour = torch.tensor(fill, device=images.device).round().to(torch.uint8)[:, None, None]
    source, filled = (images, colour.expand_as(images)) if centre else (colour.expand_as(images), images)
    kept = filled.clone()
    kept[:, :, top : top + height, left : left + width] = source[:, :, top : top + height, left : left + width]
    return kept


def _box_mean(x: Tensor, radius: int) -> Tensor:
    """Return the mean over a square of 2 radius + 1 pixels around each, as far as it is within the image."""
    for kernel, padding in (((2 * radius + 1, 1), (radius, 0)), ((1, 2 * radius + 1), (0, radius))):
        x = F.avg_pool2d(x, kernel, stride=1, padding=padding, count_include_pad=False)
    return x
