"""Typed dataclasses -> options of a verb (tyro); a mistake becomes one line."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, TypeVar

import tyro

from modernet.errors import InputError
from modernet.recipes import Recipe, default_recipe, get_recipe

Options = TypeVar("Options")


@dataclass(frozen=True)
class RecipeOptions(Recipe):
    """Fields of the recipe."""

    name: Annotated[str, tyro.conf.Suppress]
    source: Annotated[str, tyro.conf.Suppress]


def parse(options: type[Options], verb: str, arguments: Sequence[str], default: Options | None = None) -> Options:
    """Read a verb's options into a dataclass.

    Raises:
        InputError: an option is unknown, lacks its value, or has one of the wrong type.
        SystemExit: `--help` was asked for and printed.
    """
    complaint = io.StringIO()
    fallback: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(complaint):
            parsed: Options = tyro.cli(
                options,
                prog=f"modernet {verb}",
                description=inspect.getdoc(options),
                args=list(arguments),
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
                **fallback,
            )
            return parsed
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise InputError(f"{_first_sentence(complaint.getvalue())}; see modernet {verb} --help") from stop


def given(arguments: Sequence[str], option: str, default: str) -> str:
    """The value of an option, for defaults that depend on it; everything else is left to `parse`."""
    for argument, following in pairwise([*arguments, ""]):
        if argument == option and following:
            return following
        if argument.startswith(f"{option}="):
            return argument.removeprefix(f"{option}=")
    return default


def recipe_options(arguments: Sequence[str]) -> tuple[str, RecipeOptions]:
    """The recipe that the arguments name, or the default one of what they name: its name and its values.

    The values, which are those for the network where the recipe has some, are the defaults of the options that override
    them. A length given by `--epochs` alone shortens the warm-up in proportion.

    Raises:
        InputError: no recipe is called so, or it cannot last for so many epochs.
    """
    data, model = given(arguments, "--data", "digit_scenes"), given(arguments, "--model", "")
    pretrained = "." in model or given(arguments, "--weights", "") != ""
    name = given(arguments, "--recipe", default_recipe(data, pretrained))
    recipe = get_recipe(name, model=model.partition(".")[0])
    epochs = given(arguments, "--epochs", "")
    if epochs.isdecimal():  # anything else is for the parser to complain of
        recipe = recipe.lasting(int(epochs))
    return name, RecipeOptions(**vars(recipe))


def recipe_from(options: RecipeOptions) -> Recipe:
    """The recipe that the options describe."""
    return Recipe(**vars(options))


def _first_sentence(box: str) -> str:
    """What tyro says below the title of its box, up to the next rule, on one line; rules are dashes where that is all
    that the terminal can show."""
    words: list[str] = []
    titled = False
    for line in box.splitlines():
        text = line.strip("│╭╮╰╯─ ")
        is_rule = not text.strip("-")
        if is_rule and words:
            break
        if titled and not is_rule:
            words.append(text)
        titled = titled or not is_rule
    return re.sub(r"^Error parsing \S+: ", "", " ".join(words)).rstrip(".")
