"""The recipes of networks for point clouds: for the class of a cloud, and for those of its points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from modernet.recipes.base import Range, Recipe


@dataclass(frozen=True)
class PointAugmentation:
    """How clouds are moved in training, in this order, then their points are shuffled."""

    turn: bool = True
    """Turn by any angle about the axis that points up."""
    tilt: Annotated[float, Range(0)] = 0.0
    """Standard deviation in radians of small turns about each axis, cut at three of them."""
    scale: Annotated[float, Range(0, 0.99)] = 0.0
    """Scale by 1 - scale to 1 / (1 - scale)."""
    shift_points: Annotated[float, Range(0)] = 0.0
    """Largest shift along each axis, relative to the radius of the cloud."""
    jitter: Annotated[float, Range(0)] = 0.0
    """Standard deviation of the noise on every coordinate, cut at five of them, relative to the radius."""


@dataclass(frozen=True)
class PointRecipe(Recipe):
    """A recipe that trains a classifier of point clouds."""

    task: ClassVar[str] = "points"

    points: Annotated[int, Range(1)] = 1024
    """Points of a cloud that the network is shown."""
    cloud_augmentation: PointAugmentation = field(default_factory=PointAugmentation)
    label_smoothing: Annotated[float, Range(0, 0.999)] = 0.0
    """Share of the target that is spread evenly over all classes."""


@dataclass(frozen=True)
class PointSegmentationRecipe(PointRecipe):
    """A recipe that trains a network for the class of each point: parts of shapes, or scenes."""

    task: ClassVar[str] = "point_segmentation"
