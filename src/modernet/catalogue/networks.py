"""The networks of the zoo: counts and published figures."""

from __future__ import annotations

import ast
import fnmatch
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

TIMM_PREFIX = "timm:"
"""Prefix of the names of timm's networks."""
ROAD_IMAGE_SIZE = 224
"""Side of the square images that `road_counts` is for, in pixels."""


@dataclass(frozen=True)
class StageRow:
    """One stage of a backbone, or its head.

    Attributes:
        name: submodule that computes it, as in `feature_info`; `head` for what follows the last feature map.
        shape: shape of its output for one image, without the batch: `(c, h, w)`, or `(classes,)`.
        params, macs: of this stage alone; unused parameters count for the head. They add up to the network's.
        receptive_field: side in pixels of the square that a position of the output depends on, including padding. None
            if that is the whole image, or if anything but convolution and pooling mixes positions.
    """

    name: str
    shape: tuple[int, ...]
    params: int
    macs: int
    receptive_field: int | None


@dataclass(frozen=True)
class NetworkFacts:
    """A network of the zoo, as `modernet models` lists it."""

    name: str
    family: str
    """Name of the module in `modernet.models` that defines it."""
    params: int
    """Parameters."""
    macs: int
    """Multiply-accumulates for one image of `image_size`."""
    image_size: int
    """Side of the square input of the published figures, in pixels."""
    top1: float | None
    """Published ImageNet-1K top-1 accuracy in %, trained on ImageNet-1K only."""
    source: str
    """Paper and table."""
    fixed_size: bool
    """Whether the network is built for one image size."""
    stages: tuple[StageRow, ...]
    """Stage by stage, at `image_size`."""

    @property
    def about(self) -> str:
        """Docstring of its module: papers, idea, diagram."""
        source = files("modernet") / "models" / f"{self.family}.py"
        return ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""


@functools.cache
def all_networks() -> Mapping[str, NetworkFacts]:
    """Return the networks by name, in order of registration."""
    rows = json.loads((files(__package__) / "networks.json").read_text(encoding="utf-8"))
    return {row["name"]: NetworkFacts(**row | {"stages": tuple(map(_stage, row["stages"]))}) for row in rows}


def list_networks(pattern: str = "*") -> list[NetworkFacts]:
    """Return the networks of the zoo whose names match a shell pattern such as `"convnext*"`."""
    return [facts for name, facts in all_networks().items() if fnmatch.fnmatchcase(name, pattern)]


@functools.cache
def road_counts() -> Mapping[str, Mapping[str, tuple[int, int]]]:
    """Return parameters and multiply-accumulates of the steps of the road, by size and row, at `ROAD_IMAGE_SIZE`."""
    counts = json.loads((files(__package__) / "road.json").read_text(encoding="utf-8"))
    return {size: {row: (params, macs) for row, (params, macs) in rows.items()} for size, rows in counts.items()}


def _stage(row: dict[str, Any]) -> StageRow:
    return StageRow(**row | {"shape": tuple(row["shape"])})
