"""The road: what each step of the paper changes, at the paper's two sizes and at one for a laptop.

Liu et al., "A ConvNet for the 2020s", 2022, arXiv 2201.03545, section 2 and tables 10 and 11. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from modernet.errors import InputError, unknown_name
from modernet.roadmap.design import Design


@dataclass(frozen=True)
class Step:
    """One row of the road.

    Attributes:
        row: its number in the paper's order; the four kernel sizes that the paper tries at step 8 are `8a` to `8d`.
        name: its name in code; `title` its name for people, short enough for a chart.
        change: what it changes, in one or two sentences; also what was chosen here where the paper is silent.
        design: all decisions so far.
        order: its place in the list of all rows.
        side_step: tried, but the road went on from another row.
        classic_recipe: trained with the recipe of ResNet's time; every other row with ConvNeXt's.
        published_top1: ImageNet-1K top-1 in per cent; None for a size that the paper does not have.
        published_gmacs: multiply-accumulates in units of 10^9 at 224 x 224, as printed; None likewise. The tiny size's
            rows 12 and 13 are printed as 4.46 and 4.49, but have 4.15 and 4.46: changing a norm adds no multiplication
            that is counted, and table 11 has no such rise.
    """

    row: str
    name: str
    title: str
    change: str
    design: Design
    order: int
    side_step: bool
    classic_recipe: bool
    published_top1: float | None
    published_gmacs: float | None


@dataclass(frozen=True)
class _Size:
    """Where a road starts and leads, and what was published along it."""

    names: tuple[str, str]
    """Of the first network and the last."""
    depths: tuple[tuple[int, ...], tuple[int, ...]]
    """Before and after the stage ratio."""
    widths: tuple[int, int, int]
    """Of the first stage: at the start, from the stage ratio on, and when the network is widened."""
    layer_scale_init: float
    published: dict[str, tuple[float, float]]
    """Row -> ImageNet-1K top-1 and 10^9 MACs."""


# fmt: off
_TABLE_10 = {
    "0": (76.13, 4.09), "1": (78.82, 4.09), "2": (79.36, 4.53), "3": (79.51, 4.42), "4": (78.28, 2.35),
    "5": (80.50, 5.27), "6": (80.64, 4.64), "7": (79.92, 4.07), "8a": (80.35, 4.10), "8b": (80.57, 4.15),
    "8c": (80.57, 4.21), "8d": (80.47, 4.29), "9": (80.62, 4.15), "10": (81.27, 4.15), "11": (81.41, 4.15),
    "12": (81.47, 4.46), "13": (81.97, 4.49),
}
_TABLE_11 = {
    "0": (78.20, 15.01), "1": (81.14, 15.01), "2": (81.33, 14.52), "3": (81.59, 14.38), "4": (80.54, 7.23),
    "5": (81.85, 16.76), "6": (82.64, 15.68), "7": (82.04, 14.63), "8a": (82.32, 14.70), "8b": (82.30, 14.81),
    "8c": (82.27, 14.95), "8d": (82.18, 15.13), "9": (82.19, 14.81), "10": (82.71, 14.81), "11": (83.17, 14.81),
    "12": (83.35, 14.81), "13": (83.60, 15.35),
}
# fmt: on

_SIZES = {
    # A layer scale of 1e-6 leaves every block switched off until thousands of steps have raised it. The nano size is
    # trained for a few hundred, so its blocks start switched on.
    "nano": _Size(("ResNet-nano", "ConvNeXt-nano"), ((1, 2, 2, 1), (1, 1, 3, 1)), (8, 8, 12), 1.0, {}),
    "tiny": _Size(("ResNet-50", "ConvNeXt-T"), ((3, 4, 6, 3), (3, 3, 9, 3)), (64, 64, 96), 1e-6, _TABLE_10),
    "base": _Size(("ResNet-200", "ConvNeXt-B"), ((3, 24, 36, 3), (3, 3, 27, 3)), (64, 84, 128), 1e-6, _TABLE_11),
}
_SIDE_STEPS = ("8a", "8c", "8d")


def road(size: str = "tiny", *, stem_stride: int = 4, layer_scale_init: float | None = None) -> list[Step]:
    """All 17 rows of the road, in the paper's order.

    Args:
        size: `nano` trains on a laptop; `tiny` is ResNet-50 to ConvNeXt-T, `base` is ResNet-200 to ConvNeXt-B.
        stem_stride: total stride of every row's stem; 4 as published, less for small images (`default_stem_stride`).
        layer_scale_init: where layer scale starts in the last row; None is the size's own.

    Raises:
        InputError: unknown size, or a value that no design allows.
    """
    if size not in _SIZES:
        raise unknown_name("size of the road", size, _SIZES)
    this = _SIZES[size]
    (start, end), (old_depths, new_depths), (old_width, mid_width, new_width) = this.names, this.depths, this.widths
    widened = f", and the width from {old_width} to {mid_width}" if mid_width != old_width else ""
    scale = this.layer_scale_init if layer_scale_init is None else layer_scale_init

    def kernel(size: int, where: str) -> tuple[str, str, str, dict[str, Any]]:
        change = f"The depthwise convolution grows from 3x3 to {size}x{size}; {where}."
        return f"kernel_{size}", f"Kernel {size}x{size}", change, {"kernel_size": size}

    # row: name, title, change, the fields that it changes in the design of the adopted row before it
    rows: dict[str, tuple[str, str, str, dict[str, Any]]] = {
        "0": (
            "resnet",
            start,
            "A ResNet, its strides on the 3x3 convolutions, trained with the recipe of its time.",
            {},
        ),
        "1": (
            "training_recipe",
            "Modern recipe",
            "The same network under a modern recipe: AdamW, warm-up and cosine decay, label smoothing. The paper's is "
            "also longer and mixes images; what a walk used is in its records.",
            {},
        ),
        "2": (
            "stage_ratio",
            "Stage ratio",
            f"The blocks of the stages go from {old_depths} to {new_depths}, in Swin's proportions{widened}.",
            {"depths": new_depths, "widths": _doubling(mid_width)},
        ),
        "3": (
            "patchify_stem",
            "Patchify stem",
            f"The stem cuts the image into patches of {stem_stride}x{stem_stride} pixels and projects each of them. "
            "The paper does not say what follows the projection: here norm and activation stay.",
            {"stem": "patchify"},
        ),
        "4": (
            "depthwise_conv",
            "Depthwise conv",
            "The 3x3 convolution sees one channel at a time; only the 1x1 convolutions mix channels.",
            {"groups": "depthwise"},
        ),
        "5": (
            "increase_width",
            "Increase width",
            f"The width grows from {mid_width} to {new_width}, in the stem too: depthwise convolution made room.",
            {"widths": _doubling(new_width)},
        ),
        "6": (
            "inverted_bottleneck",
            "Inverted bottleneck",
            "Blocks are wide inside and narrow outside, w to 4w to w, with the depthwise convolution on 4w channels.",
            {"block": "inverted"},
        ),
        "7": (
            "move_up_depthwise",
            "Move up depthwise",
            "The depthwise convolution moves before both 1x1 convolutions, where channels are few.",
            {"spatial_conv": "first"},
        ),
        "8a": kernel(5, "tried beside the road"),
        "8b": kernel(7, "the road goes on from here"),
        "8c": kernel(9, "tried beside the road"),
        "8d": kernel(11, "tried beside the road"),
        "9": ("gelu", "ReLU to GELU", "Every ReLU becomes a GELU.", {"activation": "gelu"}),
        "10": (
            "fewer_activations",
            "Fewer activations",
            "A block keeps one activation, between its 1x1 convolutions; none follows the sum. "
            "The paper speaks of blocks only: here the stem's activation goes too.",
            {"activations": "one"},
        ),
        "11": (
            "fewer_norms",
            "Fewer norms",
            "A block keeps one norm, after its depthwise convolution. The paper speaks of blocks only: here stem and "
            "shortcuts keep theirs, and a convolution that lost its BatchNorm has a bias.",
            {"norms": "one"},
        ),
        "12": (
            "layer_norm",
            "BatchNorm to LayerNorm",
            "Every BatchNorm becomes a LayerNorm over the channels of a position; "
            "here also in stem and shortcuts, where the paper is silent, and every convolution has a bias.",
            {"norm": "layer"},
        ),
        "13": (
            "separate_downsampling",
            "Separate downsampling",
            "Between stages, a LayerNorm and a 2x2 convolution of stride 2 halve the resolution; every shortcut is the "
            "identity. A LayerNorm before the classifier comes with it, and here also layer scale "
            f"(from {scale:g}), which the paper does not place. This is {end}.",
            {"downsampling": "separate", "head_norm": True, "layer_scale_init": scale},
        ),
    }

    design = Design(depths=old_depths, widths=_doubling(old_width), stem_stride=stem_stride)
    steps = []
    for order, (row, (name, title, change, changed)) in enumerate(rows.items()):
        side_step = row in _SIDE_STEPS
        step_design = replace(design, **changed)
        top1, gmacs = this.published.get(row, (None, None))
        steps.append(Step(row, name, title, change, step_design, order, side_step, row == "0", top1, gmacs))
        design = design if side_step else step_design
    return steps


def select_steps(steps: Sequence[Step], spec: str) -> list[Step]:
    """Some steps of a road, in its order.

    Args:
        steps: what to choose from, as `road` returns it.
        spec: rows, names and ranges with commas between them: `"0-13"`, `"0,4,13"`, `"8a-8d"`, `"resnet,kernel_7"`; or
            `"all"`. 8 means the adopted 8b. A range holds the adopted rows; side steps only if an end of it is one.

    Raises:
        InputError: a part of `spec` is no row or name, a range runs backwards, or nothing is left.

    >>> [step.row for step in select_steps(road(), "7-9")]
    ['7', '8b', '9']
    """
    if spec.strip() == "all":
        return list(steps)
    chosen: set[int] = set()
    for part in spec.split(","):
        first, dash, last = part.strip().partition("-")
        start = _find(steps, first.strip())
        end = _find(steps, last.strip()) if dash else start
        if end.order < start.order:
            raise InputError(f"the range {part.strip()!r} of steps runs backwards; write {end.row}-{start.row}")
        within = [step for step in steps if start.order <= step.order <= end.order]
        if not (start.side_step or end.side_step):
            within = [step for step in within if not step.side_step]
        chosen |= {step.order for step in within}
    return [step for step in steps if step.order in chosen]


def default_stem_stride(image_size: int) -> int:
    """The stem's stride for square images of `image_size` pixels: 4 as published if the image is large enough.

    Below 128 pixels it is 2, and below 32 it is 1, so that the fourth stage keeps 2x2 positions down to 16 pixels.

    Raises:
        InputError: the image is smaller than the 8 pixels that four stages need.
    """
    if image_size < 8:
        raise InputError(f"images have {image_size} pixels a side; the road's networks need 8 or more")
    return 4 if image_size >= 128 else 2 if image_size >= 32 else 1


def _doubling(width: int) -> tuple[int, ...]:
    return (width, 2 * width, 4 * width, 8 * width)


def _find(steps: Sequence[Step], key: str) -> Step:
    """The step of a row or name."""
    row = "8b" if key == "8" else key
    for step in steps:
        if row in (step.row, step.name):
            return step
    raise InputError(
        f"no step of the road is called {key!r}; there are rows {', '.join(step.row for step in steps)}, "
        "their names (such as patchify_stem), ranges (0-13) and 'all'"
    )
