"""Training recipes: typed values, each with its source. Needs no torch."""

from modernet.recipes.base import (
    Augmentation,
    ImageSizes,
    LayerGroups,
    Optimizer,
    Recipe,
    Regularization,
    Schedule,
    leaves,
)
from modernet.recipes.execution import Execution
from modernet.recipes.named import RECIPES, NamedRecipe, default_recipe, get_recipe
from modernet.recipes.rates import rate_factor

__all__ = [
    "RECIPES",
    "Augmentation",
    "Execution",
    "ImageSizes",
    "LayerGroups",
    "NamedRecipe",
    "Optimizer",
    "Recipe",
    "Regularization",
    "Schedule",
    "default_recipe",
    "get_recipe",
    "leaves",
    "rate_factor",
]
