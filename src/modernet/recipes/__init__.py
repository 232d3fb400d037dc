"""Training recipes: typed values, each with its source. Needs no torch."""

from modernet.recipes.named import RECIPES, default_recipe, get_recipe
from modernet.recipes.recipe import Augmentation, Optimizer, Recipe, Regularization, Schedule, leaves

__all__ = [
    "RECIPES",
    "Augmentation",
    "Optimizer",
    "Recipe",
    "Regularization",
    "Schedule",
    "default_recipe",
    "get_recipe",
    "leaves",
]
