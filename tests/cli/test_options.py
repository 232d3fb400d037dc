"""How options are parsed, with a small verb."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import Annotated, Generic, Literal, TypeVar

import pytest
import tyro

from modernet.cli import main
from modernet.cli.options import options_of, parse, recipe_from, recipe_options
from modernet.errors import InputError
from modernet.recipes import get_recipe

T = TypeVar("T")


@dataclass(frozen=True)
class Options(Generic[T]):
    """Do something.

    Example: modernet verb FOLDER
    """

    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """A folder."""
    rate: float = 0.5
    count: int = 1
    mode: Literal["fast", "slow"] = "fast"
    draw: bool = True
    skip: bool = False


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "verb needs FOLDER"),
        (["a", "--rate", "x"], "--rate is 'x'; give a number"),
        (["a", "--count", "1.5"], "--count is '1.5'; give a whole number"),
        (["a", "--mode", "medium"], "--mode is 'medium'; give one of 'fast', 'slow'"),
        (["a", "--rate"], "--rate needs a value"),
        (["a", "--ratee", "1"], "there is no option --ratee; did you mean --rate"),
        (["a", "--draw"], "--draw is the default here: leave it out, or give --no-draw"),
        (["a", "--no-skip"], "--no-skip is the default here: leave it out, or give --skip"),
        (["a", "b"], "there is no argument b"),
    ],
)
@pytest.mark.parametrize("columns", ["40", "200"])
def test_a_mistake_says_what_was_given_and_what_is_allowed(
    arguments: list[str], message: str, columns: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size and the encoding of the terminal, for which the parser draws a box."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    with pytest.raises(InputError) as raised:
        parse(Options[int], "verb", arguments)

    assert str(raised.value) == f"{message}; see modernet verb --help"


def test_the_help_of_a_generic_verb_has_its_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(Options[int], "verb", ["--help"])

    assert "Example: modernet verb FOLDER" in capsys.readouterr().out


def test_the_recipe_of_the_options_is_a_plain_recipe() -> None:
    quick = get_recipe("quick")
    name, options = recipe_options("train", ["--recipe", "quick"])

    assert (name, type(options)) == ("quick", options_of(type(quick)))
    assert recipe_from(options) == quick


def test_epochs_scale_the_warm_up() -> None:
    _, options = recipe_options("train", ["--recipe", "quick", "--epochs", "8"])

    assert recipe_from(options) == get_recipe("quick").lasting(8)


@pytest.mark.parametrize(
    "arguments",
    [["advise"], ["compare", "convnext_test", "resnet_test"], ["roadmap"], ["arena"]],
    ids=lambda arguments: arguments[0],
)
def test_every_study_takes_a_cluster_and_not_workers_of_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--cluster", "auto", "--workers", "2"]) == 2
    assert "--workers does not apply to a cluster; give --run-cpus instead" in capsys.readouterr().err
