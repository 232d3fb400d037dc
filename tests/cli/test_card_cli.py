"""`modernet card` on a run of an early version, which a current one reads."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

import modernet
from modernet.cli import main

_RUN = Path(__file__).parents[1] / "data_of_early_versions" / "3d9728f" / "classifier"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(_RUN, tmp_path / "my-run"))


def test_a_card_is_written_beside_the_weights_and_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(run)]) == 0
    assert main(["card", str(run), "--licence", "mit"]) == 0

    assert capsys.readouterr().out.split() == [str(run / "README.md")] * 2
    front = (run / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    assert yaml.safe_load(front)["license"] == "mit"


def test_a_file_of_somebody_else_is_left_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "README.md").write_text("mine\n", encoding="utf-8")

    assert main(["card", str(run)]) == 2
    assert "was not written by modernet card, or edited since; give another --out" in capsys.readouterr().err
    assert (run / "README.md").read_text(encoding="utf-8") == "mine\n"
    assert main(["card", str(run), "--out", str(run)]) == 2
    assert "is a folder; give a file" in capsys.readouterr().err


def test_a_dash_prints_the_card(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(run), "--out", "-"]) == 0

    assert capsys.readouterr().out.startswith("---\nlibrary_name: modernet\n")
    assert not (run / "README.md").exists()


def test_the_lines_that_load_the_network_work(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["card", str(run), "--out", "-"])
    (code,) = re.findall(r"```python\n(.*?)```", capsys.readouterr().out, re.S)
    names: dict[str, object] = {}

    exec(code.replace("FOLDER", str(run)), names)

    saved = names["saved"]
    assert getattr(saved, "classes") == modernet.load_network(run).classes  # noqa: B009 - of an object that exec made


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--licence", "Apache 2"], "--licence is 'Apache 2'; give the Hub's name of one, such as apache-2.0"),
        (["--records", "{run}"], "is a test of my-run; give the --out folders of modernet evaluate"),
    ],
)
def test_mistakes_are_one_line(
    run: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["card", str(run), *(each.replace("{run}", str(run)) for each in arguments)]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_folder_without_a_network_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(tmp_path)]) == 2
    assert "give the folder of a finished run" in capsys.readouterr().err
