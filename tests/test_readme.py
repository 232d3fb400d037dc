from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from modernet.cli import _VERBS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})

    assert "('Separate downsampling', " in capsys.readouterr().out
    assert (tmp_path / "runs" / "two-steps" / "report.html").exists()


def test_every_verb_is_shown_and_every_verb_shown_exists() -> None:
    assert set(re.findall(r"uv run modernet (\w+)", README)) == _VERBS.keys()


def test_the_speed_tables_are_made_from_the_records() -> None:
    spec = importlib.util.spec_from_file_location("make_speed", ROOT / "docs" / "make_speed.py")
    assert spec is not None
    assert spec.loader is not None
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    assert pages.with_speed(README) == README, "run make docs"
    assert pages.speed_page() == (ROOT / "docs" / "speed.md").read_text(encoding="utf-8"), "run make docs"
    table = pages.comparison_table(pages.RESULTS / "cpu-amd-epyc")
    assert table in README
