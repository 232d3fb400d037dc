"""The recipe of pre-training with masked images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from modernet.recipes.base import Range
from modernet.recipes.images import ImageRecipe


@dataclass(frozen=True)
class PretrainingRecipe(ImageRecipe):
    """A recipe that trains a network to predict hidden parts of images: MAE for a ViT, FCMAE for a ConvNeXt."""

    task: ClassVar[str] = "pretraining"

    mask_ratio: Annotated[float, Range(0.01, 0.99)] = 0.75
    """Share of each image that is hidden: of patches (MAE), or of cells of 32 pixels (FCMAE)."""
    norm_pixels: bool = True
    """Predict each patch less its mean and divided by its standard deviation."""
    decoder_depth: Annotated[int, Range(1)] = 8
    """Blocks of the decoder; the FCMAE paper has 1."""
    decoder_dim: Annotated[int, Range(1)] = 512
    """Channels of the decoder."""
