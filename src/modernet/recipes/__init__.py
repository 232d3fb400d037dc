"""Training recipes: typed values, each with its source. Needs no torch."""

from modernet.recipes.named import RECIPES, get_recipe
from modernet.recipes.recipe import Augmentation, Optimizer, Recipe, Regularization, Schedule, leaves

__all__ = ["RECIPES", "Augmentation", "Optimizer", "Recipe", "Regularization", "Schedule", "get_recipe", "leaves"]
