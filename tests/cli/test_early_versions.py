"""A run folder that an early version wrote is still evaluated, predicted, reported and not overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from modernet.cli import main
from modernet.records import CLASSIFICATION, read_record, read_records

EARLY = Path(__file__).parents[1] / "data_of_early_versions" / "3d9728f"


def test_the_network_does_not_name_its_task() -> None:
    """Otherwise the tests below would prove less."""
    assert "task" not in json.loads((EARLY / "classifier" / "network.json").read_text())


@pytest.mark.medium
def test_evaluation_gives_the_loss_of_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(EARLY / "classifier"), "--data", "digit_scenes", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)

    recorded = read_record(EARLY / "classifier" / "record.json").metrics
    tested = {key.removeprefix("test_"): value for key, value in recorded.items() if key.startswith("test_")}
    assert tested.keys() >= {"top1", "loss", "n"}
    assert {key: measured[key] for key in tested} == pytest.approx(tested, rel=1e-5)


def test_predictions_are_the_recorded_ones(capsys: pytest.CaptureFixture[str]) -> None:
    images = [EARLY / "scene0.png", EARLY / "scene1.png"]
    assert main(["predict", str(EARLY / "classifier"), *map(str, images), "--top", "3", "--json"]) == 0
    predicted = json.loads(capsys.readouterr().out)

    recorded = json.loads((EARLY / "predictions.json").read_text())
    assert [Path(row["image"]).name for row in predicted] == [row["picture"] for row in recorded]
    for row, before in zip(predicted, recorded, strict=True):
        assert [guess["label"] for guess in row["predictions"]] == [guess["label"] for guess in before["predictions"]]
        assert [guess["probability"] for guess in row["predictions"]] == pytest.approx(
            [guess["probability"] for guess in before["predictions"]], rel=1e-4
        )


@pytest.mark.medium
def test_records_are_of_classifiers_and_make_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {record.task_metrics for record in read_records(EARLY)} == {CLASSIFICATION}
    assert main(["report", str(EARLY), "--out", str(tmp_path)]) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]

    assert tmp_path / "report.html" in written
    page = (tmp_path / "report.html").read_text()
    assert "resnet_test" in page
    assert "Depthwise" in page


def test_its_folder_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(EARLY / "classifier", tmp_path / "run")

    assert main(["train", "--out", str(tmp_path / "run")]) == 2
    assert "contains a finished run; give another --out, or remove it" in capsys.readouterr().err
