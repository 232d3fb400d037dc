"""Recipes by name: a recipe, what it is for, what came out where it was published, and how to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modernet.recipes.base import Recipe
from modernet.registry import Registry

ON_EIGHT_GPUS = "torchrun --nproc-per-node 8 -m modernet train --data path/to/imagenet"
"""How the commands of recipes for ImageNet-1K begin."""


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe and what is known of it."""

    recipe: Recipe
    """Its values, for the first network of `expected`, or for any."""
    purpose: str
    """What it is for, in a few words."""
    command: str
    """How to run it."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Network -> its published top-1 on ImageNet-1K in per cent under this recipe."""
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Network -> the leaves in which its recipe differs from `recipe`."""
    differs: str = ""
    """What of the publication is not in here, or could not be verified."""

    def for_model(self, model: str) -> Recipe:
        """The recipe for a network; that of the others where none is given for it."""
        return self.recipe.replace(**self.models.get(model, {}))


RECIPES: Registry[NamedRecipe] = Registry("recipe")
_FORMER_NAMES = {"small_pictures": "small_images"}


def register_recipe(named: NamedRecipe) -> None:
    """Add a recipe under its own name."""
    RECIPES.add(named.recipe.name, named)


def get_recipe(name: str, model: str | None = None) -> Recipe:
    """The recipe called `name`.

    Args:
        model: the network that it is for, where values depend on that, such as the drop path.

    Raises:
        InputError: there is none; the message names the closest ones.

    >>> get_recipe("convnext", model="convnext_small").regularization.drop_path
    0.4
    """
    named = RECIPES[_FORMER_NAMES.get(name, name)]
    return named.recipe if model is None else named.for_model(model)


def default_recipe(data: str, pretrained: bool = False) -> str:
    """The name of the recipe when none is named: for a data set, or for a network that is trained already."""
    if pretrained:
        return "finetune"
    return "quick" if data in ("digit_scenes", "mnist") else "small_images"
