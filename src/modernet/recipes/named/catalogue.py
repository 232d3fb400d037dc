"""Recipes by name, with their purpose, published results and command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modernet.recipes.base import Recipe
from modernet.registry import Registry

ON_EIGHT_GPUS = "torchrun --nproc-per-node 8 -m modernet train --data path/to/imagenet"
"""Beginning of the commands of recipes for ImageNet-1K."""


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe, its purpose and its published results."""

    recipe: Recipe
    """For the first network of `expected`, or for any."""
    purpose: str
    """What it trains, in a few words."""
    command: str
    """Command that runs it."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Network -> its published top-1 accuracy on ImageNet-1K under this recipe, in per cent."""
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Network -> the leaves that differ from `recipe` for it."""
    model: str = ""
    """Network that it trains if none is named; empty for that of its task."""
    published: str = ""
    """Published results on other data, with their source."""
    differs: str = ""
    """Deviations from the publication, and values that could not be verified."""

    def for_model(self, model: str) -> Recipe:
        """Return the recipe for a network."""
        return self.recipe.replace(**self.models.get(model, {}))


RECIPES: Registry[NamedRecipe] = Registry("recipe")
_FORMER_NAMES = {"small_pictures": "small_images"}


def register_recipe(named: NamedRecipe) -> None:
    """Register a recipe under its name."""
    RECIPES.add(named.recipe.name, named)


def get_recipe(name: str, model: str | None = None) -> Recipe:
    """Return a recipe by name.

    Args:
        model: network that it is for; some values depend on it, such as the drop path.

    Raises:
        InputError: there is no such recipe; the message names the closest ones.

    >>> get_recipe("convnext", model="convnext_small").regularization.drop_path
    0.4
    """
    named = get_named(name)
    return named.recipe if model is None else named.for_model(model)


def get_named(name: str) -> NamedRecipe:
    """Return a recipe with its purpose and results, by name.

    Raises:
        InputError: there is no such recipe; the message names the closest ones.
    """
    return RECIPES[_FORMER_NAMES.get(name, name)]


def default_recipe(data: str, pretrained: bool = False) -> str:
    """Return the name of the default recipe: for a data set, or for a network with pretrained weights."""
    if pretrained:
        return "finetune"
    return "quick" if data in ("digit_scenes", "mnist") else "small_images"
