"""`modernet robustness`, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modernet.cli import main
from small_classifiers import save_classifier, save_images


def test_a_test_prints_its_errors_and_leaves_a_record_and_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    asked = ["robustness", network, "--data", str(photos), "--corruptions", "contrast", "--severities", "2,4"]
    assert main(asked) == 0
    out, err = capsys.readouterr()
    record = json.loads(Path("runs/robustness-run-photos/record.json").read_text())

    mean = record["metrics"]["c_mean_error"]
    low, high = record["metrics"]["c_mean_error_low"], record["metrics"]["c_mean_error_high"]
    assert f"mean error, C (1 of 15 corruptions; severities 2, 4): {mean:.1f} % [{low:.1f}, {high:.1f}]" in out
    errors = [f"{row['error']:.1f}" for row in record["details"]["corruptions"]]
    (row,) = (line.split() for line in out.splitlines() if line.strip().startswith("c "))
    assert row == ["c", "contrast", *errors, f"{mean:.1f}"]
    assert "images: shorter side scaled to 48, bilinear; central 48 x 48" in out
    assert "not normalised" in out
    assert "results: runs/robustness-run-photos" in out
    assert Path("runs/robustness-run-photos/report.html").is_file()

    assert main([*asked, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["metrics"] == record["metrics"]
    assert "3 of 3 parts in runs/robustness-run-photos are finished" in err


@pytest.mark.medium
def test_what_has_no_corruption_error_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    other = save_classifier(tmp_path / "other", seed=1)
    asked = ["robustness", network, "--data", str(photos), "--out", str(tmp_path / "out"), "--baseline", other]
    assert main([*asked, "--corruptions", "contrast", "--severities", "3"]) == 0
    out = capsys.readouterr().out
    assert "no CE of contrast: it takes all five severities" in out
    assert "relative to the errors" not in out

    tested = f"{tmp_path}/out/baseline-other"
    assert main([*asked[:-1], tested, "--corruptions", "contrast"]) == 0
    assert "no CE of contrast: the baseline has no errors for it" in capsys.readouterr().out
    assert main([*asked, "--corruptions", "contrast"]) == 0
    out = capsys.readouterr().out
    assert "CE and mCE: relative to the errors of other" in out
    assert "no CE" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "d"], "no suite is called 'd'"),
        (["--corruptions", "contrst"], "no corruption is called 'contrst'; did you mean contrast"),
        (["--severities", "0"], "severity is 0; give 1 to 5"),
        (["--severities", ""], "there is no severity; give some of 1 to 5"),
        (["--suite", "calibration", "--baseline", "resnet_test"], "--baseline normalises errors on corrupted images"),
        (["--severities", "one"], "--severities has 'one'; give 1 to 5, by commas"),
        (
            ["--suite", "a"],
            "ImageNet-A is not among the folders of --shifted; add its folder, or leave out the suite a",
        ),
        (["--frost", "nowhere"], "there is no folder nowhere"),
        (["--batch-size", "0"], "batch_size is 0; give 1 or more"),
        (["--weights", "file.pth"], "--weights belong to a model, and "),
        (["--baseline", "./nowhere"], "no trained network in nowhere"),
        (["--shifted", "./nowhere"], "no data set is called './nowhere'"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    out = ["--out", str(tmp_path / "out")]
    assert main(["robustness", network, "--data", str(photos), *out, *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err.splitlines()[-1]


def test_the_help_names_the_suites(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["robustness", "--help"])
    help = capsys.readouterr().out
    assert "ImageNet-C-bar" in help
    assert "--published" in help
