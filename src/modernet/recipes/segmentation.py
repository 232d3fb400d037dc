"""The recipe of a segmentation network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from modernet.recipes.base import Range
from modernet.recipes.images import ImageRecipe


@dataclass(frozen=True)
class SegmentationRecipe(ImageRecipe):
    """A recipe that trains a segmentation network."""

    task: ClassVar[str] = "segmentation"

    drop_path: Annotated[float, Range(0, 0.999)] = 0.0
    """Stochastic depth (Huang et al. 2016): rate of the last block; linearly less for earlier ones."""
