"""Pages of the documentation: what they show exists."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from modernet.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"```\n(.*?)```", PAGE, flags=re.DOTALL)).replace("\\\n", " ")
COMMANDS = [shlex.split(match.partition("   #")[0]) for match in re.findall(r"(?:uv run|-m) modernet (.*)", BLOCKS)]
TRAININGS = [command for command in COMMANDS if command[0] == "train"]


@pytest.mark.parametrize("command", TRAININGS, ids=lambda command: " ".join(command[1:7]))
def test_every_training_on_the_page_is_one(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    explain = [] if "--explain" in command else ["--explain"]

    assert main([*command, *explain, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_every_other_command_on_the_page_has_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    others = [command for command in COMMANDS if command[0] != "train"]
    assert {command[0] for command in others} == {
        "data",
        "recipes",
        "evaluate",
        "predict",
        "export",
        "report",
        "roadmap",
    }
    for command in others:
        verb = command[:2] if command[0] == "data" else command[:1]
        with pytest.raises(SystemExit):
            main([*verb, "--help"])
        shown = capsys.readouterr().out
        assert [word for word in command if word.startswith("--") and word not in shown] == []


def test_the_options_that_its_table_explains_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = capsys.readouterr().out
    explained = re.findall(r"^\| `(--[a-z-]+)", PAGE, flags=re.MULTILINE)
    assert len(explained) >= 6
    assert [option for option in explained if option not in shown] == []


def test_what_the_page_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
