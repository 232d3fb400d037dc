"""Training recipes: typed values, each with its source. Needs no torch."""

from modernet.recipes.execution import Execution
from modernet.recipes.named import RECIPES, default_recipe, get_recipe
from modernet.recipes.recipe import Augmentation, Optimizer, PictureSizes, Recipe, Regularization, Schedule, leaves

__all__ = [
    "RECIPES",
    "Augmentation",
    "Execution",
    "Optimizer",
    "PictureSizes",
    "Recipe",
    "Regularization",
    "Schedule",
    "default_recipe",
    "get_recipe",
    "leaves",
]
