from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from modernet.cli import main
from modernet.data import open_dataset


def test_a_check_prints_a_table_and_exits_with_1(image_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        (image_folder / "vertical" / f"torn{number:02}.png").write_bytes(b"torn")
    assert main(["data", "check", str(image_folder)]) == 1
    printed = capsys.readouterr().out
    assert "unreadable (12): images that cannot be read" in printed
    assert printed.count("/torn") == 10
    assert "... and 2 more (--json has all)" in printed
    assert "problems in 76 images (about 80 / 10 / 10 % of each class of the one given set)" in printed
    assert printed.splitlines()[-1].startswith(f"{image_folder}: ")


def test_a_check_is_printed_as_json(image_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(image_folder / "vertical" / "1.png", image_folder / "horizontal" / "copy.png")
    assert main(["data", "check", str(image_folder), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["images"] == 65
    assert printed["counts"]["in two classes"] == 1
    (found,) = [finding for finding in printed["found"] if finding["kind"] == "in two classes"]
    assert set(found) == {"kind", "subject", "detail"}


def test_a_check_that_finds_nothing_exits_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for label in ("black", "white"):
        for number in range(3):
            (tmp_path / label).mkdir(exist_ok=True)
            Image.new("RGB", (8, 8), (50 + number * 50, 0, 255 if label == "white" else 0)).save(
                tmp_path / label / f"{number}.png"
            )
    assert main(["data", "check", str(tmp_path)]) == 0
    assert "no problems in 6 images" in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path), "--json"]) == 0


def test_packing_makes_what_data_opens(image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "shards"
    assert main(["data", "pack", str(image_folder), str(out)]) == 0
    assert capsys.readouterr().out == f"64 images in 1 shards, 0 MB; open them with --data {out}\n"
    dataset = open_dataset(str(out))
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 64
    assert main(["data", "pack", str(image_folder), str(out)]) == 2
    assert "contains a finished set of shards" in capsys.readouterr().err


def test_corrupted_images_are_written(image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "corrupted"
    arguments = ["data", "corrupt", str(image_folder), str(out), "--corruption", "contrast", "sparkles"]
    assert main([*arguments, "--severity", "1", "3"]) == 0
    assert capsys.readouterr().out == f"256 corrupted images written to {out}\n"
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["contrast", "sparkles"]
    assert len(list((out / "sparkles" / "3" / "vertical").iterdir())) == 32
    (out / "contrast" / "1" / "vertical" / "1.JPEG").unlink()
    assert main([*arguments, "--severity", "1"]) == 0
    assert capsys.readouterr().out == f"1 corrupted images written to {out}, kept 127 that existed\n"


def test_corruptions_are_asked_for(image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "corrupt", str(image_folder), str(tmp_path / "out")]) == 2
    assert "give --corruption, such as gaussian_noise, or --suite c" in capsys.readouterr().err


def test_the_help_of_data_starts_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    assert "modernet data check my_photos" in capsys.readouterr().out
    for verb in ("check", "pack", "corrupt"):
        with pytest.raises(SystemExit):
            main(["data", verb, "--help"])
        assert f"modernet data {verb}" in capsys.readouterr().out


def test_an_unknown_verb_is_named_with_close_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "chekc"]) == 2
    assert capsys.readouterr().err == "modernet: no verb of modernet data is called 'chekc'; did you mean check?\n"
