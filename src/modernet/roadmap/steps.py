"""The road: the change made by each step of the paper, at the paper's two sizes and at one for a laptop.

Liu et al., "A ConvNet for the 2020s", 2022, arXiv 2201.03545, section 2 and tables 10 and 11. Does not import torch.
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
        row: number in the paper's order; `8a` to `8d` are the four kernel sizes that the paper tries at step 8.
        name: identifier, as used in code and on the command line.
        title: display name, short enough for a chart.
        change: one or two sentences on the change, including choices made here where the paper does not specify one.
        design: all decisions up to this step.
        order: index in the list of all rows.
        side_step: True for an alternative that the road does not continue from.
        classic_recipe: True if trained with ResNet's original recipe; all other rows use ConvNeXt's.
        published_top1: ImageNet-1K top-1 accuracy in %; None for a size that the paper does not have.
        published_gmacs: multiply-accumulates in units of 10^9 at 224 x 224, as printed; None likewise. For the tiny
            size, rows 12 and 13 are printed as 4.46 and 4.49 but are 4.15 and 4.46: changing a norm adds no counted
            multiplication, and table 11 has no such increase.
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
    """Start and end of a road, and its published figures."""

    names: tuple[str, str]
    """First and last network."""
    depths: tuple[tuple[int, ...], tuple[int, ...]]
    """Before and after the stage ratio step."""
    widths: tuple[int, int, int]
    """Width of the first stage: at the start, from the stage ratio step, and from the increased width step."""
    layer_scale_init: float
    published: dict[str, tuple[float, float]]
    """Row -> ImageNet-1K top-1 in % and MACs in units of 10^9."""


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
    # With a layer scale of 1e-6, blocks contribute almost nothing for the first thousands of steps. The nano size is
    # trained for a few hundred, so its layer scale starts at 1.
    "nano": _Size(("ResNet-nano", "ConvNeXt-nano"), ((1, 2, 2, 1), (1, 1, 3, 1)), (8, 8, 12), 1.0, {}),
    "tiny": _Size(("ResNet-50", "ConvNeXt-T"), ((3, 4, 6, 3), (3, 3, 9, 3)), (64, 64, 96), 1e-6, _TABLE_10),
    "base": _Size(("ResNet-200", "ConvNeXt-B"), ((3, 24, 36, 3), (3, 3, 27, 3)), (64, 84, 128), 1e-6, _TABLE_11),
}
_SIDE_STEPS = ("8a", "8c", "8d")


def road(size: str = "tiny", *, stem_stride: int = 4, layer_scale_init: float | None = None) -> list[Step]:
    """Return all 17 rows of the road, in the paper's order.

    Args:
        size: `nano` trains on a laptop; `tiny` is ResNet-50 to ConvNeXt-T, `base` is ResNet-200 to ConvNeXt-B.
        stem_stride: total stride of every row's stem; 4 as published, less for small images (`default_stem_stride`).
        layer_scale_init: initial layer scale in the last row; None for the default of the size.

    Raises:
        InputError: unknown size, or a value out of range.
    """
    if size not in _SIZES:
        raise unknown_name("size of the road", size, _SIZES)
    spec = _SIZES[size]
    (start, end), (old_depths, new_depths), (old_width, mid_width, new_width) = spec.names, spec.depths, spec.widths
    widened = f", and the width from {old_width} to {mid_width}" if mid_width != old_width else ""
    scale = spec.layer_scale_init if layer_scale_init is None else layer_scale_init

    def kernel(size: int, note: str) -> tuple[str, str, str, dict[str, Any]]:
        change = f"The depthwise convolution grows from 3x3 to {size}x{size}; {note}."
        return f"kernel_{size}", f"Kernel {size}x{size}", change, {"kernel_size": size}

    # row: name, title, change, fields changed relative to the previous adopted row
    rows: dict[str, tuple[str, str, str, dict[str, Any]]] = {
        "0": (
            "resnet",
            start,
            "A ResNet with strides on the 3x3 convolutions, trained with its original recipe.",
            {},
        ),
        "1": (
            "training_recipe",
            "Modern recipe",
            "The same network with a modern recipe: AdamW, warm-up and cosine decay, label smoothing. The paper's is "
            "also longer and mixes images; the records of a walk hold the recipe it used.",
            {},
        ),
        "2": (
            "stage_ratio",
            "Stage ratio",
            f"Blocks per stage change from {old_depths} to {new_depths}, Swin's ratio{widened}.",
            {"depths": new_depths, "widths": _doubling(mid_width)},
        ),
        "3": (
            "patchify_stem",
            "Patchify stem",
            f"The stem cuts the image into patches of {stem_stride}x{stem_stride} pixels and projects each. "
            "The paper does not specify what follows the projection: here norm and activation stay.",
            {"stem": "patchify"},
        ),
        "4": (
            "depthwise_conv",
            "Depthwise conv",
            "The 3x3 convolution acts on each channel separately; only the 1x1 convolutions mix channels.",
            {"groups": "depthwise"},
        ),
        "5": (
            "increase_width",
            "Increase width",
            f"The width grows from {mid_width} to {new_width}, stem included; depthwise convolution makes it cheap.",
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
            "The depthwise convolution moves before both 1x1 convolutions, where there are fewer channels.",
            {"spatial_conv": "first"},
        ),
        "8a": kernel(5, "tried, not adopted"),
        "8b": kernel(7, "adopted"),
        "8c": kernel(9, "tried, not adopted"),
        "8d": kernel(11, "tried, not adopted"),
        "9": ("gelu", "ReLU to GELU", "GELU replaces every ReLU.", {"activation": "gelu"}),
        "10": (
            "fewer_activations",
            "Fewer activations",
            "A block keeps one activation, between its 1x1 convolutions; none follows the sum. "
            "The paper only mentions blocks: here the stem's activation is removed too.",
            {"activations": "one"},
        ),
        "11": (
            "fewer_norms",
            "Fewer norms",
            "A block keeps one norm, after its depthwise convolution. The paper only mentions blocks: here stem and "
            "shortcuts keep theirs, and a convolution that loses its BatchNorm gains a bias.",
            {"norms": "one"},
        ),
        "12": (
            "layer_norm",
            "BatchNorm to LayerNorm",
            "LayerNorm over the channels of a position replaces every BatchNorm; "
            "here also in stem and shortcuts, which the paper does not mention, and every convolution has a bias.",
            {"norm": "layer"},
        ),
        "13": (
            "separate_downsampling",
            "Separate downsampling",
            "Between stages, a LayerNorm and a 2x2 convolution of stride 2 halve the resolution; every shortcut is the "
            "identity. The step adds a LayerNorm before the classifier, and here also layer scale (initially "
            f"{scale:g}), which the paper assigns to no step. This is {end}.",
            {"downsampling": "separate", "head_norm": True, "layer_scale_init": scale},
        ),
    }

    design = Design(depths=old_depths, widths=_doubling(old_width), stem_stride=stem_stride)
    steps = []
    for order, (row, (name, title, change, fields)) in enumerate(rows.items()):
        side_step = row in _SIDE_STEPS
        step_design = replace(design, **fields)
        top1, gmacs = spec.published.get(row, (None, None))
        steps.append(Step(row, name, title, change, step_design, order, side_step, row == "0", top1, gmacs))
        design = design if side_step else step_design
    return steps


def select_steps(steps: Sequence[Step], spec: str) -> list[Step]:
    """Return the steps of a road selected by `spec`, in road order.

    Args:
        steps: all steps, as returned by `road`.
        spec: rows, names and ranges, comma-separated: `"0-13"`, `"0,4,13"`, `"8a-8d"`, `"resnet,kernel_7"`; or `"all"`.
            8 means the adopted 8b. A range selects adopted rows, and side steps only if one of its ends is one.

    Raises:
        InputError: an item of `spec` is not a row or name, or a range runs backwards.

    >>> [step.row for step in select_steps(road(), "7-9")]
    ['7', '8b', '9']
    """
    if spec.strip() == "all":
        return list(steps)
    chosen: set[int] = set()
    for item in spec.split(","):
        first, dash, last = item.strip().partition("-")
        start = _find(steps, first.strip())
        end = _find(steps, last.strip()) if dash else start
        if end.order < start.order:
            raise InputError(f"the range {item.strip()!r} of steps runs backwards; give {end.row}-{start.row}")
        within = [step for step in steps if start.order <= step.order <= end.order]
        if not (start.side_step or end.side_step):
            within = [step for step in within if not step.side_step]
        chosen |= {step.order for step in within}
    return [step for step in steps if step.order in chosen]


def default_stem_stride(image_size: int) -> int:
    """Return the stem stride for square images of `image_size` pixels: 4, as published, from 128 pixels.

    It is 2 below 128 pixels and 1 below 32, so that the fourth stage keeps 2x2 positions down to 16 pixels.

    Raises:
        InputError: the image is smaller than 8 pixels, the minimum for four stages.
    """
    if image_size < 8:
        raise InputError(f"image_size is {image_size}; give 8 or more, the minimum for four stages")
    return 4 if image_size >= 128 else 2 if image_size >= 32 else 1


def _doubling(width: int) -> tuple[int, ...]:
    return (width, 2 * width, 4 * width, 8 * width)


def _find(steps: Sequence[Step], key: str) -> Step:
    """Return the step with a given row or name."""
    row = "8b" if key == "8" else key
    for step in steps:
        if row in (step.row, step.name):
            return step
    raise InputError(
        f"no step of the road is called {key!r}; give rows {', '.join(step.row for step in steps)}, "
        "their names (such as patchify_stem), ranges (0-13) and 'all'"
    )
