"""`modernet recipes`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from modernet.cli.options import parse
from modernet.cli.output import plain, print_json, print_table, simple_table
from modernet.recipes import RECIPES, NamedRecipe, get_named, leaves


@dataclass(frozen=True)
class Options:
    """List the training recipes, or describe one in full: source, command, published results, and every value.

    Examples:
      modernet recipes
      modernet recipes convnext
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[RECIPE]")] = ""
    """The recipe to describe; without one, list them all."""
    json: bool = False
    """Print JSON: a list of objects with name, purpose, epochs, batch_size, and more; or one with all values."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "recipes", arguments)
    if options.name:
        named = get_named(options.name)
        if options.json:
            own = {model: dict(values) for model, values in named.models.items()}
            print_json({**_summary(named), "values": leaves(named.recipe), "models": own})
        else:
            _describe(named)
        return
    if options.json:
        print_json([_summary(named) for named in RECIPES.values()])
        return
    headings = ["recipe", "for", "epochs", "batch", "optimizer", "top-1 %", "source"]
    columns = {heading: heading in ("epochs", "batch") for heading in headings}
    rows = [
        [
            named.recipe.name,
            named.purpose,
            str(named.recipe.schedule.epochs),
            str(named.recipe.batch_size),
            named.recipe.optimizer.optimizer,
            next((f"{top1:.1f} {model}" for model, top1 in named.expected.items()), ""),
            named.recipe.source,
        ]
        for named in RECIPES.values()
    ]
    print_table(simple_table("Training recipes; top-1 on ImageNet-1K as published", columns, rows))


def _summary(named: NamedRecipe) -> dict[str, Any]:
    recipe = named.recipe
    return {
        "name": recipe.name,
        "purpose": named.purpose,
        "epochs": recipe.schedule.epochs,
        "batch_size": recipe.batch_size,
        "optimizer": recipe.optimizer.optimizer,
        "expected_top1": dict(named.expected),
        "published": named.published,
        "source": recipe.source,
        "differs": named.differs,
        "command": named.command,
    }


def _describe(named: NamedRecipe) -> None:
    recipe = named.recipe
    print(f"{recipe.name}: {named.purpose}\nsource:  {recipe.source}")
    if named.published:
        print(f"results: {named.published}")
    if named.differs:
        print(f"differs: {named.differs}")
    print(f"command: {named.command}")
    for model, top1 in named.expected.items():
        print(f"top-1:   {top1:.1f} % {model}")
    # a column per network with values of its own
    rows = [
        [name, plain(value), *(plain(own[name]) if name in own else "" for own in named.models.values())]
        for name, value in leaves(recipe).items()
        if name not in ("name", "source")
    ]
    print_table(simple_table("", dict.fromkeys(["field", "value", *named.models], False), rows))
