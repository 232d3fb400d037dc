from __future__ import annotations

import re
from pathlib import Path

import pytest

from modernet.cli import _VERBS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})

    assert "('Separate downsampling', " in capsys.readouterr().out
    assert (tmp_path / "runs" / "two-steps" / "report.html").exists()


def test_every_verb_is_shown_and_every_shown_verb_exists() -> None:
    assert set(re.findall(r"uv run modernet (\w+)", README)) == _VERBS.keys()


def test_what_it_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (Path(__file__).parents[1] / link).exists()] == []
