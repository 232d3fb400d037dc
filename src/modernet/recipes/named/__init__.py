"""Recipes by name, one file per family of papers; importing a file registers its recipes."""

from modernet.recipes.named import convnexts, ours, resnets, small_data, transformers
from modernet.recipes.named.catalogue import RECIPES, NamedRecipe, default_recipe, get_recipe

__all__ = [
    "RECIPES",
    "NamedRecipe",
    "convnexts",
    "default_recipe",
    "get_recipe",
    "ours",
    "resnets",
    "small_data",
    "transformers",
]
