"""Command-line options from typed dataclasses (tyro); a mistake is reported in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import io
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, TypeVar, get_origin

import tyro

from modernet.errors import InputError
from modernet.recipes import Recipe, default_recipe, get_recipe

Options = TypeVar("Options")


_Hidden = Annotated[str, tyro.conf.Suppress]


@functools.cache
def options_of(recipe: Any) -> type[Recipe]:
    """Return a type of recipe whose fields are options, except for name and source."""
    hidden = [("name", _Hidden), ("source", _Hidden)]
    return dataclasses.make_dataclass(recipe.__name__, hidden, bases=(recipe,), frozen=True)


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
                description=inspect.getdoc(get_origin(options) or options),  # a generic's alias has no docstring
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
    """Return the value of an option before parsing, for defaults that depend on it."""
    for argument, following in pairwise([*arguments, ""]):
        if argument == option and following:
            return following
        if argument.startswith(f"{option}="):
            return argument.removeprefix(f"{option}=")
    return default


def recipe_options(arguments: Sequence[str]) -> tuple[str, Recipe]:
    """Return the name and the values of the recipe that the arguments name, or of their default one.

    The values are the defaults of the options that override them; a recipe may have some for the network. `--epochs`
    alone scales the warm-up in proportion.

    Raises:
        InputError: there is no such recipe, or its number of epochs is out of range.
    """
    data, model = given(arguments, "--data", "digit_scenes"), given(arguments, "--model", "")
    pretrained = "." in model or given(arguments, "--weights", "") != ""
    name = given(arguments, "--recipe", default_recipe(data, pretrained))
    recipe = get_recipe(name, model=model.partition(".")[0])
    epochs = given(arguments, "--epochs", "")
    if epochs.isdecimal():  # anything else is for the parser to complain of
        recipe = recipe.lasting(int(epochs))
    return name, options_of(type(recipe))(**vars(recipe))  # type: ignore[arg-type]


def recipe_from(options: Recipe) -> Recipe:
    """Return the recipe that the options describe, as a plain recipe of its task."""
    plain: type[Recipe] = type(options).__mro__[1]
    return plain(**vars(options))


def _first_sentence(box: str) -> str:
    """Return the text below the title of tyro's box, up to the next rule, on one line.

    Rules are drawn with dashes on terminals without box characters.
    """
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
