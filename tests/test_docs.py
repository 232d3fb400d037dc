"""The pages of the documentation: what they link to, name and show exists."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest

from modernet.cli import main
from modernet.recipes import RECIPES

ROOT = Path(__file__).parents[1]
PAGES = [
    *("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/extending.md", "docs/training.md", "docs/log.md"),
    *(
        "docs/speed.md",
        "docs/timm.md",
        "docs/choosing.md",
        "docs/published.md",
        "docs/pretraining.md",
        "docs/probing.md",
        "docs/robustness.md",
        "docs/sequences.md",
        "docs/points.md",
        "docs/results/README.md",
        "findings/README.md",
    ),
]
TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"```\n(.*?)```", TRAINING, flags=re.DOTALL)).replace("\\\n", " ")
COMMANDS = [shlex.split(match.partition("   #")[0]) for match in re.findall(r"(?:uv run|-m) modernet (.*)", BLOCKS)]
TRAININGS = [command for command in COMMANDS if command[0] == "train"]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    links = re.findall(r"\]\((?!http)([^)]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    broken = []
    for link in links:
        path, _, heading = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (heading and heading not in _anchors(target)):
            broken.append(link)
    assert broken == []


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "docs/extending.md", "docs/training.md"])
def test_the_files_that_a_page_names_exist(page: str) -> None:
    folders = ("src", "tests", "docs", "examples", "benchmarks", "findings")
    files = {*ROOT.glob("*"), *(file for folder in folders for file in (ROOT / folder).rglob("*"))}
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", text)
    named = {word for span in spans for word in span.split() if re.fullmatch(r"[\w./]+\.(py|toml|sh)", word)}
    assert named
    missing = {name for name in named if not any(file.as_posix().endswith(f"/{name}") for file in files)}
    assert {name for name in missing if "NAME" not in name} == set()


def test_the_recipes_that_pages_and_help_name_exist() -> None:
    texts = [*map(ROOT.joinpath, PAGES), *(ROOT / "src" / "modernet" / "cli").glob("*.py")]
    named = {name for path in texts for name in re.findall(r"--recipe ([a-z]\w*)", path.read_text(encoding="utf-8"))}
    assert len(named) > 10
    assert named - {*RECIPES, "lra"} == set()  # the arena's lra is a recipe for each task


@pytest.mark.parametrize(
    ("script", "page"), [("make_results.py", "results/README.md"), ("make_sequences.py", "sequences.md")]
)
def test_the_tables_are_made_from_the_records(script: str, page: str) -> None:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / script)
    assert spec is not None
    assert spec.loader is not None
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert pages.with_tables(text) == text, "run make docs"


@pytest.mark.parametrize("command", TRAININGS, ids=lambda command: " ".join(command[1:7]))
def test_every_training_command_is_valid(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    explain = [] if "--explain" in command else ["--explain"]

    assert main([*command, *explain, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_the_other_commands_have_the_options_shown(capsys: pytest.CaptureFixture[str]) -> None:
    others = [command for command in COMMANDS if command[0] != "train"]
    assert {command[0] for command in others} == {
        "card",
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


def test_the_options_in_the_table_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = capsys.readouterr().out
    explained = re.findall(r"^\| `(--[a-z-]+)", TRAINING, flags=re.MULTILINE)
    assert len(explained) >= 6
    assert [option for option in explained if option not in shown] == []
