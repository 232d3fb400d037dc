"""Command-line options from typed dataclasses (tyro); a mistake is reported in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_origin

import tyro

from modernet.errors import InputError
from modernet.preparation import ImageSize
from modernet.recipes import Recipe, default_recipe, get_recipe
from modernet.records import is_run_path, read_network

Options = TypeVar("Options")


_Hidden = Annotated[str, tyro.conf.Suppress]
_FORMS = {
    r"^Error parsing (--\S+): could not convert string to float: (.*)": "{} is {}; give a number",
    r"^Error parsing (--\S+): invalid literal for int\(\) with base 10: (.*)": "{} is {}; give a whole number",
    r"^Error parsing \S+: (.*)": "{}",
    r"^[Ii]nvalid choice (.*) for argument '(.*)'\. Expected one of \((.*?),?\)": "{1} is {0}; give one of {2}",
    r"^Missing value for argument '(.*)'": "{} needs a value",
    r"^Unrecognized options: (--[^ ,]+)": "there is no option {}",
    r"^Unrecognized options: (.*)": "there is no argument {}",
}
"""tyro's messages, and ours."""


@dataclass(frozen=True)
class MachineOptions:
    """Where the runs of a study train, as in `modernet.studies.Machines`."""

    workers: int | None = None
    """Concurrent runs on this machine; by default one per core for small networks on a CPU, else one."""
    cluster: str | None = None
    """Train on a Ray cluster: auto (the running one, or a new one on this machine), or HOST:PORT of its head."""
    run_cpus: int | None = None
    """Cores per run on the cluster; by default 1 for small networks on a CPU, else this machine's cores per GPU."""
    run_gpus: float | None = None
    """GPUs per run on the cluster, such as 0.5; by default 1 if this machine has one."""


@functools.cache
def options_of(recipe: Any) -> type[Recipe]:
    """Return a subclass of a type of recipe for the parser: its name and source are not options."""
    hidden = [("name", _Hidden), ("source", _Hidden)]
    return dataclasses.make_dataclass(recipe.__name__, hidden, bases=(recipe,), frozen=True)


def parse(options: type[Options], verb: str, arguments: Sequence[str], default: Options | None = None) -> Options:
    """Read a verb's options into a dataclass.

    Raises:
        InputError: an option is unknown, lacks its value, or has one of the wrong type.
        SystemExit: `--help` was asked for and printed.
    """
    fallback: dict[str, Any] = {} if default is None else {"default": default}
    description = inspect.getdoc(get_origin(options) or options)  # a generic's alias has no docstring
    parsed: Options = _parse(options, verb, arguments, description=description, **fallback)
    return parsed


def _parse(options: type, verb: str, arguments: Sequence[str], **settings: Any) -> Any:
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                options,
                prog=f"modernet {verb}",
                args=list(arguments),
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
                **settings,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        message = _mistake(complaint.getvalue(), verb)
        raise InputError(f"{message}; see modernet {verb} --help") from stop


@dataclass(frozen=True)
class _Early:
    """The options that decide the defaults of others."""

    recipe: str | None = None
    data: str = "digit_scenes"
    model: str = ""
    weights: str | None = None
    epochs: str | None = None


def recipe_options(verb: str, arguments: Sequence[str], *, pretrained: bool = False) -> tuple[str, Recipe]:
    """Return the name and the values of the recipe that the arguments name, or of their default one.

    The values are the defaults of the options that override them; a recipe may have some for the network. `--epochs`
    alone scales the warm-up in proportion.

    Args:
        pretrained: whether networks start from weights that no option names.

    Raises:
        InputError: there is no such recipe, its number of epochs is out of range, or an option lacks its value.
    """
    early, _ = _parse(_Early, verb, arguments, add_help=False, return_unknown_args=True)
    name = early.recipe or default_recipe(early.data, pretrained or is_pretrained(early.model, early.weights))
    recipe = get_recipe(name, model=architecture(early.model))
    if early.epochs is not None and early.epochs.isdecimal():  # the parser reports anything else
        recipe = recipe.lasting(int(early.epochs))
    return name, options_of(type(recipe))(**vars(recipe))  # type: ignore[arg-type]


def architecture(model: str) -> str:
    """Return the network that `--model` means: a name without its tag, or what a run trained.

    Raises:
        InputError: it is the path of a folder without a trained network.
    """
    if is_run_path(model):
        return str(read_network(Path(model))["spec"]["name"])
    return model.partition(".")[0]


def read_size(text: str) -> ImageSize:
    """Read `--image-size`: the side of a square, or height and width.

    Raises:
        InputError: it is neither.
    """
    sides = text.split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise InputError(f"--image-size is {text!r}; give pixels, such as 512, or HEIGHTxWIDTH, such as 800x1344")
    height, width = int(sides[0]), int(sides[-1])
    return height, width


def is_pretrained(model: str, weights: object) -> bool:
    """Return whether a training starts from weights: those of `--weights`, of a tag, or of a run."""
    return weights is not None or is_run_path(model) or "." in model


def recipe_from(options: Recipe) -> Recipe:
    """Return the recipe that the options describe, as a plain recipe of its task."""
    plain: type[Recipe] = type(options).__mro__[1]
    return plain(**vars(options))


def _mistake(box: str, verb: str) -> str:
    """Return what tyro's box reports, in one line and in the form of our own messages.

    Below its title, the box has sections between rules: the mistake, and perhaps a list of similar options. Where the
    terminal has no box characters, rules are dashes.
    """
    sections: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│╭╮╰╯ ")
        if text.strip("─-"):
            if not line.startswith("╭"):
                sections[-1].append(text)
        else:
            sections.append([])
    first, *others = [section for section in sections if section][0 if "╭" in box else 1 :]
    message = " ".join(first).rstrip(".")
    for pattern, form in _FORMS.items():
        match = re.search(pattern, message)
        if match is not None:
            message = form.format(*match.groups())
            break
    if first[0].startswith("Missing from"):
        names = [line.split()[0] for line in first[1:] if re.match(r"(--[a-z-]+ \S+|[A-Z]+)$", line)]
        return f"{verb} needs {' and '.join(names)}"
    similar = [line.split()[0] for section in others if section[0].startswith("Perhaps") for line in section[1:2]]
    if not similar:
        return message
    given = message.rpartition(" ")[2]
    if given.startswith("--") and given.replace("--no-", "--") == similar[0].replace("--no-", "--"):
        return f"{given} is the default here: leave it out, or give {similar[0]}"
    return f"{message}; did you mean {similar[0]}"
