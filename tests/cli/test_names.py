"""Every verb on files and classes whose names are not UTF-8, as in an archive from another system."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from modernet.cli import main

STRANGE = os.fsdecode(b"\xe9t\xe9")  # Latin-1
SHOWN = "\\xe9t\\xe9"


@pytest.fixture
def folder(image_folder: Path) -> Path:
    """Sixteen images, in a folder and a class of such a name."""
    for label, name in (("horizontal", STRANGE), ("vertical", "hiver")):
        (image_folder / STRANGE / name).mkdir(parents=True)
        for number, path in enumerate(sorted((image_folder / label).iterdir())[:8]):
            path.rename(image_folder / STRANGE / name / f"{os.fsdecode(bytes([0xE9]))}{number}.png")
        shutil.rmtree(image_folder / label)
    return image_folder / STRANGE


def test_data_is_checked_and_packed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(next((folder / "hiver").iterdir()), folder / STRANGE / "copy.png")
    (folder / STRANGE / os.fsdecode(b"\xe9.txt")).touch()
    assert main(["data", "check", str(folder)]) == 1
    assert f"{SHOWN}; the same as" in capsys.readouterr().out
    assert main(["data", "check", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["counts"]["other files"] == 1
    assert main(["data", "pack", str(folder), str(tmp_path / STRANGE)]) == 0
    assert (tmp_path / STRANGE / "classes.txt").read_text(encoding="utf-8") == f"hiver\n{SHOWN}\n"
    assert main(["data", "check", str(tmp_path / STRANGE)]) == 1
    (folder / "hiver" / "torn.png").touch()
    assert main(["data", "pack", str(folder), str(tmp_path / "torn")]) == 2
    assert "hiver/torn.png: the file is empty" in capsys.readouterr().err


@pytest.mark.medium
def test_a_network_is_trained_tested_used_and_reported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train = ["train", "--data", str(folder), "--model", "resnet_test", "--recipe", "quick", "--epochs", "1"]
    run = Path("runs", STRANGE)
    assert main([*train, "--batch-size", "4", "--out", str(run)]) == 0
    assert main(["evaluate", str(run), "--data", str(folder)]) == 0
    image = next((folder / STRANGE).iterdir())
    assert main(["predict", str(run), str(image), str(folder / "hiver"), "--top", "2"]) == 0
    assert SHOWN in capsys.readouterr().out
    assert main(["predict", str(run), str(image), "--json"]) == 0
    (predicted,) = json.loads(capsys.readouterr().out)
    assert predicted["image"] == str(image)
    assert {guess["label"] for guess in predicted["predictions"]} == {"hiver", SHOWN}
    assert main(["report", "runs"]) == 0
    for file in (path for path in tmp_path.rglob("*") if path.suffix in {".json", ".jsonl", ".html"}):
        file.read_text(encoding="utf-8")
