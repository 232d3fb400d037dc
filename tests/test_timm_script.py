"""A script written for timm runs with its import of `create_model` changed, and nothing else."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("timm_script.py")


@pytest.mark.medium
@pytest.mark.parametrize("name", ["convnext_test", "swin_test", "vit_test", "mobilenet_v2_test"])
def test_a_script_for_timm_trains_our_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert text.count("from timm import create_model\n") == 1
    ours = tmp_path / "train.py"
    ours.write_text(text.replace("from timm import create_model\n", "from modernet import create_model\n"))
    monkeypatch.setattr(sys, "argv", ["train.py", name, str(tmp_path / "last.pth"), "img_size=64"])
    runpy.run_path(str(ours), run_name="__main__")
    assert "classes 5 size 64" in capsys.readouterr().out


def test_the_script_is_one_for_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "test_vit", str(tmp_path / "last.pth"), "img_size=64"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
