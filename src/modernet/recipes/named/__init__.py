"""Recipes by name, one file per family of papers; importing a file registers its recipes."""

import importlib
import pkgutil

from modernet.recipes.named.catalogue import RECIPES, NamedRecipe, default_recipe, get_named, get_recipe

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

__all__ = ["RECIPES", "NamedRecipe", "default_recipe", "get_named", "get_recipe"]
