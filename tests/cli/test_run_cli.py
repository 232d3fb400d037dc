"""`modernet evaluate`, `predict` and `show`, as a user calls them; the run is a small committed one."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from modernet.cli import main
from modernet.statistics import wilson_interval

EARLY = Path(__file__).parents[1] / "data_of_early_versions" / "3d9728f"
SCENE = EARLY / "scene0.png"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a copy of a trained classifier of digits."""
    return shutil.copytree(EARLY / "classifier", tmp_path / "run")


@pytest.mark.medium
def test_an_evaluation_is_one_line_with_every_metric_and_a_line_for_each_of_the_worst_classes(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((run / "record.json").read_text())["metrics"]
    assert main(["evaluate", str(run), "--data", "digit_scenes", "--batch-size", "100"]) == 0
    first, heading, *worst = capsys.readouterr().out.splitlines()

    ends = [wilson_interval(record[f"test_{name}"] / 100, 1000) for name in ("top1", "top5")]
    low1, high1, low5, high5 = (f"{100 * end:.1f}" for each in ends for end in (each.low, each.high))
    assert first == (
        f"resnet_test on digit_scenes, test: top-1 {record['test_top1']:.1f} % ({low1} to {high1}), "
        f"top-5 {record['test_top5']:.1f} % ({low5} to {high5}) (n = 1000), loss {record['test_loss']:.4f}"
    )
    assert heading == "worst classes:"
    percent = [float(line.split()[1]) for line in worst]
    assert len(worst) == 5
    assert percent == sorted(percent)
    assert percent[0] < record["test_top1"]


@pytest.mark.medium
def test_a_split_is_evaluated_on_request(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads((run / "record.json").read_text())["metrics"]
    assert main(["evaluate", str(run), "--data", "digit_scenes", "--split", "validation", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)

    assert measured["n"] == 300
    assert 10 * measured["top1"] == pytest.approx(sum(measured[f"top1/{digit}"] for digit in range(10)), rel=0.05)
    assert measured["top1"] == pytest.approx(record["validation_top1"], rel=1e-6)


def test_images_of_other_classes_are_not_evaluated(
    run: Path, image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), "--data", str(image_folder)]) == 2
    out, err = capsys.readouterr()

    assert out == ""
    last = err.splitlines()[-1]
    assert "has images of the class 'horizontal', and the network does not know it, only 10 others, such as '0'" in last


def test_predictions_are_a_line_per_class_from_the_most_probable(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(run), str(SCENE), "--top", "10"]) == 0
    name, *lines = capsys.readouterr().out.splitlines()
    percent = [float(line.split()[0]) for line in lines]

    assert name == str(SCENE)
    assert sorted(line.split()[-1] for line in lines) == list("0123456789")
    assert percent == sorted(percent, reverse=True)
    assert sum(percent) == pytest.approx(100, abs=0.5)


def test_images_of_any_size_and_mode_are_predicted_once_each_in_order(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [tmp_path / name for name in ("a.jpg", "b.png", "c.png")]
    for path, mode, size in zip(images, ("RGB", "L", "RGBA"), ((90, 30), (8, 8), (50, 70)), strict=True):
        Image.new(mode, size).save(path)
    assert main(["predict", str(run), str(tmp_path), *map(str, images), "--top", "1", "--json"]) == 0

    assert [row["image"] for row in json.loads(capsys.readouterr().out)] == [str(path) for path in images]


def test_images_are_listed_on_stdin(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [tmp_path / name for name in ("a b.png", "c[1].png", "d.png")]
    for path in images:
        Image.new("RGB", (20, 20)).save(path)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{images[0]}\n\n{images[1]}\n"))
    assert main(["predict", str(run), "-", str(images[2]), "--json"]) == 0
    assert [row["image"] for row in json.loads(capsys.readouterr().out)] == [str(path) for path in images]

    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["predict", str(run), "-"]) == 2
    assert "no images were given" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("network.json", b"{", "cannot be read"),
        ("network.json", b"{}", "cannot be read"),
        ("model.safetensors", b"damaged", "cannot be read"),
        ("network.json", None, "no trained network in"),
    ],
)
@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_a_damaged_run_is_named(
    run: Path, file: str, content: bytes | None, message: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        (run / file).unlink()
    else:
        (run / file).write_bytes(content)
    rest = ["--data", "digit_scenes"] if verb == "evaluate" else [str(SCENE)]
    assert main([verb, str(run), *rest]) == 2
    err = capsys.readouterr().err

    assert message in err
    assert str(run) in err
    assert err.count("\n") == 1


def test_a_run_of_an_unknown_task_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    description = json.loads((run / "network.json").read_text())
    (run / "network.json").write_text(json.dumps({**description, "task": "classificatoin"}))
    assert main(["predict", str(run), str(SCENE)]) == 2

    assert "no task is called 'classificatoin'; did you mean classification" in capsys.readouterr().err


@pytest.mark.medium
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "{run}", "--data", "digit_scenes", "--batch-size", "0"], "batch_size is 0"),
        (["evaluate", "{run}", "--data", "digit_scenes", "--split", "dev"], "--split is 'dev'; give one of 'train'"),
        (["evaluate", "{run}", "--data", "nowhere"], "nowhere"),
        (["evaluate", "{run}"], "evaluate needs --data"),
        (["evaluate", "--data", "digit_scenes"], "give the folder of a finished run, or --model NAME"),
        (["evaluate", "{run}", "--model", "vit_tiny", "--data", "digit_scenes"], "or --model NAME, not both"),
        (["evaluate", "{run}", "--weights", "a.pth", "--data", "digit_scenes"], "--weights needs --model NAME"),
        (["evaluate", "{run}", "--data", "digit_scenes", "--out", "{run}"], "has a record.json; give another --out"),
        (["evaluate", "{run}", "--data", "digit_scenes", "--class-map", "no.csv"], "cannot read the class map no.csv"),
        (["evaluate", "{run}", "--data", "digit_scenes", "--real", "no.json"], "there is no argument no.json"),
        (["predict", "{run}", "{run}/no.jpg"], "no.jpg"),
        (["predict", "{run}", str(SCENE), "--top", "0"], "top is 0; give 1 or more"),
        (
            ["predict", "{run}", str(SCENE), "--min-score", "0.3"],
            "--min-score is for detectors; leave it out, or use --top",
        ),
        (["predict"], "give the folder of a finished run, or --model NAME"),
        (
            ["evaluate", "{run}", "--data", "digit_scenes", "--save-json", "{run}/record.json"],
            "--save-json writes what a detector finds; leave it out",
        ),
        (["show", "convnext_tiny", "--image-size", "16"], "too small for this network"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.format(run=run) for argument in arguments]) == 2
    out, err = capsys.readouterr()

    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_network_is_described_with_its_total(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "convnext_tiny"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]

    assert any(line[:5] == ["total", "28.59", "M", "4.456", "G"] for line in lines)
    assert any("convnext_tiny" in line and "224x224" in line for line in lines)
    assert any(line[-2:] == ["whole", "image"] for line in lines)


def test_a_network_of_timm_is_described_as_a_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "timm:resnet18", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["show", "timm:resnet18"]) == 0
    assert "11.69 M" in capsys.readouterr().out
