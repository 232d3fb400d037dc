"""Detectors under the names of the papers' releases and of OpenMMLab, on which these are built."""

from __future__ import annotations

from collections.abc import Sequence

from modernet.weights.schemes.dense import around
from modernet.weights.schemes.scheme import Names, Scheme

_PROJECTS = ("original", "openmmlab")
"""Their detectors differ in the names of the backbone only."""


def rcnn_schemes(of_backbone: Sequence[Scheme], stages: int) -> tuple[Scheme, ...]:
    """Return the schemes of a detector with a number of stages, from those of its backbone."""
    heads: Names = [
        (r"^pyramid\.levels\.(\d)\.", r"backbone.norm\1."),
        (r"^neck\.fpn\.inner_blocks\.(\d)\.0\.", r"neck.lateral_convs.\1.conv."),
        (r"^neck\.fpn\.layer_blocks\.(\d)\.0\.", r"neck.fpn_convs.\1.conv."),
        (r"^roi_heads\.box_heads\.", "roi_head.bbox_head."),
        (r"^roi_heads\.mask_heads\.", "roi_head.mask_head."),
    ]
    if stages == 1:  # OpenMMLab numbers the stages of a cascade only
        heads = [*heads, (r"^(roi_head\.\w+_head)\.0\.", r"\1.")]
    return (Scheme("modernet"), *(around(each, heads) for each in of_backbone if each.project in _PROJECTS))
