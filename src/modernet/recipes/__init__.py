"""Training recipes: typed values, each with its source. Needs no torch."""

from modernet.recipes import (
    convnexts,
    ours,
    resnets,
    small_data,
    transformers,
)  # importing them registers their recipes
from modernet.recipes.execution import Execution
from modernet.recipes.named import RECIPES, NamedRecipe, default_recipe, get_recipe
from modernet.recipes.rates import rate_factor
from modernet.recipes.recipe import (
    Augmentation,
    LayerGroups,
    Optimizer,
    PictureSizes,
    Recipe,
    Regularization,
    Schedule,
    leaves,
)

__all__ = [
    "RECIPES",
    "Augmentation",
    "Execution",
    "LayerGroups",
    "NamedRecipe",
    "Optimizer",
    "PictureSizes",
    "Recipe",
    "Regularization",
    "Schedule",
    "convnexts",
    "default_recipe",
    "get_recipe",
    "leaves",
    "ours",
    "rate_factor",
    "resnets",
    "small_data",
    "transformers",
]
