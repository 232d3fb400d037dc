"""The recipe of a classifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from modernet.errors import InputError
from modernet.recipes.base import Range, Recipe
from modernet.recipes.images import ImageRecipe


@dataclass(frozen=True)
class Regularization:
    """Loss and regularization of a classifier."""

    label_smoothing: Annotated[float, Range(0, 0.999)] = 0.1
    """Share of the target that is spread evenly over all classes."""
    loss: Literal["ce", "bce"] = "ce"
    """Cross-entropy, or binary cross-entropy per class (ResNet strikes back)."""
    bce_threshold: Annotated[float | None, Range(0, 1)] = None
    """With bce: mixed targets above it become 1, others 0; None keeps the shares."""
    drop_path: Annotated[float, Range(0, 0.999)] = 0.0
    """Stochastic depth (Huang et al. 2016): rate of the last block; linearly less for earlier ones."""
    dropout: Annotated[float, Range(0, 0.999)] = 0.0
    """Dropout before the classifier."""
    head_init_scale: Annotated[float, Range(0)] = 1.0
    """Factor on the initial weights of the classifier; 0.001 in the fine-tuning of ConvNeXt."""


@dataclass(frozen=True)
class ClassificationRecipe(ImageRecipe):
    """A recipe that trains a classifier."""

    task: ClassVar[str] = "classification"

    global_pool: Literal["avg", "max", "avgmax", "token"] | None = None
    """Pooling before the classifier: the mean of positions, their maximum, the mean of both, or the class token of a
    network that has one; None: the network's own."""
    frozen: bool = False
    """Train the classifier alone, as MAE's linear probe: its features, which nothing is dropped from, are standardised
    over batches (a BatchNorm without scale and shift)."""
    regularization: Regularization = field(default_factory=Regularization)


def for_classification(recipe: Recipe) -> ClassificationRecipe:
    """Return the recipe with its type.

    Raises:
        InputError: it trains something else.
    """
    if not isinstance(recipe, ClassificationRecipe):
        raise InputError(
            f"the recipe {recipe.name} is for {recipe.task}, and a classifier is to be trained; "
            "choose another one from modernet recipes"
        )
    return recipe
