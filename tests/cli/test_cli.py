from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modernet.cli import _VERBS, main
from modernet.recipes import get_recipe
from modernet.records import read_record
from small_classifiers import save_classifier


def run(*arguments: str) -> int:
    """The exit code of the command line; asking for help ends in SystemExit(0)."""
    try:
        return main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)


def test_help_needs_no_torch() -> None:
    program = """
import sys
from modernet.cli import _VERBS, main
for verb in ["", *_VERBS]:
    try:
        main([verb, "--help"] if verb else [])
    except SystemExit as stop:
        assert stop.code == 0
assert not {"torch", "numpy", "vl_convert"} & sys.modules.keys(), "help loads a heavy package"
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_what_describes_a_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", save_classifier(tmp_path / "run")) == 2
    expected = "modernet: networks are described by name: modernet show resnet_test; the run, by modernet report\n"
    assert capsys.readouterr().err == expected


def test_names_are_checked_without_torch(tmp_path: Path) -> None:
    """As its import takes seconds; one process checks all of them."""
    (tmp_path / "fast").mkdir()
    (tmp_path / "fast" / "file").touch()
    program = """
import sys
from modernet.cli import main
for line in sys.stdin:
    assert main(line.split()) == 2
    assert not {"torch", "timm", "numpy"} & sys.modules.keys(), f"{line} loads a heavy package"
"""
    no_run = "no trained network in nodir: it has no network.json; give the folder of a finished run"
    messages = {
        "optimize no_such_net --data photos --out new": "no model is called 'no_such_net'; there are",
        "optimize resnet18.typo --data photos --out new": "no set of weights for resnet18 is called 'resnet18.typo'",
        "optimize ./nodir --data photos --out new": no_run,
        "optimize fast --data photos --out new": "no model is called 'fast'; for the folder of that name, give ./fast",
        "optimize resnet18 --data photos --out fast": "fast exists already; give another --out, or remove it",
        "probe ./nodir --data photos": no_run,
        "probe ./nodir --data photos --random-weights": no_run,
        "probe resnet18.typo --data photos": "no set of weights for resnet18 is called 'resnet18.typo'",
        "robustness fast --data photos": "no model is called 'fast'; for the folder of that name, give ./fast",
        "robustness ./nodir --data photos": no_run,
        "predict ./nodir x.jpg": no_run,
        "predict --model no_such_net x.jpg": "no model is called 'no_such_net'; there are",
        "evaluate ./nodir --data photos": no_run,
        "export ./nodir --to onnx": no_run,
        "export --model no_such_net --weights x.pth --to onnx": "no model is called 'no_such_net'; there are",
        "benchmark convnext_tiny optimized:./nodir": no_run,
        "benchmark optimized:fast": "no model is called 'fast'; for the folder of that name, give ./fast",
    }
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        input="\n".join(messages),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == len(messages)
    for line, message in zip(lines, messages.values(), strict=True):
        assert line.startswith(f"modernet: {message}")


@pytest.mark.parametrize("verb", ["", *_VERBS])
def test_help_starts_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*[verb, "--help"] if verb else ["--help"]) == 0
    out, err = capsys.readouterr()

    assert "Example" in "\n".join(out.splitlines()[:6])
    assert f"modernet {verb}" in out
    assert err == ""


@pytest.mark.medium
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["modles"], "no verb is called 'modles'; did you mean models?"),
        (["show", "convnext_tin"], "no model is called 'convnext_tin'; did you mean convnext_tiny"),
        (["show", "resnet18", "--image-size", "0"], "image_size is 0; give the side of an image in pixels, 1 or more"),
        (["models", "vgh*"], "no model is called 'vgh*'"),
        (["roadmap", "--lrr", "3"], "there is no option --lrr; did you mean --lr; see modernet roadmap --help"),
        (["roadmap", "--lr", "abc"], "--lr is 'abc'; give a number; see modernet roadmap --help"),
        (["roadmap", "--lr", "-1"], "lr is -1.0; it must be at least 0"),
        (["roadmap", "--recipe", "quik"], "no recipe is called 'quik'; did you mean quick?"),
        (["roadmap", "--size", "huge"], "--size is 'huge'; give one of 'nano', 'tiny', 'base'"),
        (["roadmap", "--data", "no/such/folder"], "no/such/folder"),
        (["train", "--model", "resnet81"], "no model is called 'resnet81'; did you mean resnet18"),
        (["train", "--model-fields", "stem_stride"], "--model-fields got 'stem_stride'; give name=value"),
        (["train", "--model-fields", "num_classes=50"], "--model-fields cannot set num_classes"),
        (["train", "--model-fields", "depths=2", "--out", "{tmp}"], "depths is 2; give a value like (1, 1, 2, 1)"),
        (["train", "--out", "{tmp}/file/run"], "Not a directory; give another --out"),
        (["roadmap", "--out", "{tmp}/file/run"], "Not a directory; give another --out"),
        (["roadmap", "show", "--image-size", "16", "--stem-stride", "4"], "images of 16x16 are too small"),
        (["evaluate", "nowhere", "--data", "digit_scenes"], "no trained network in nowhere"),
        (["predict", "nowhere", "photo.jpg"], "no trained network in nowhere"),
        (["report", "nowhere"], "there is no folder nowhere"),
        (["train", "--epochs", "2.5"], "--epochs is '2.5'; give a whole number; see modernet train --help"),
        (["train", "--recipe", "quick", "--data"], "--data needs a value; see modernet train --help"),
        (["roadmap", "--epochs"], "--epochs needs a value; see modernet roadmap --help"),
        (["train", "my_photos"], "there is no argument my_photos; see modernet train --help"),
        (["evaluate"], "evaluate needs --data; see modernet evaluate --help"),
        (["show"], "show needs MODEL; see modernet show --help"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(*[argument.format(tmp=tmp_path) for argument in arguments]) == 2
    out, err = capsys.readouterr()

    assert out == ""
    assert err.startswith("modernet: ")
    assert message in err
    assert err.count("\n") == 1


def test_models_are_listed_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "resnet18") == 0
    assert "11.69 M" in capsys.readouterr().out

    assert run("models", "convnext_tiny", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "name": "convnext_tiny",
            "params": 28589128,
            "macs": 4455531264,
            "image_size": 224,
            "top1": 82.1,
            "source": "Liu et al. 2022, table 1",
        }
    ]


def test_show_prints_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "resnet18", "--json") == 0
    stages = json.loads(capsys.readouterr().out)

    assert [stage["name"] for stage in stages] == ["act1", "layer1", "layer2", "layer3", "layer4", "head"]
    assert stages[1]["shape"] == [64, 56, 56]
    assert sum(stage["params"] for stage in stages) == 11689512

    assert run("show", "resnet18", "--image-size", "64") == 0
    assert "64 x 16 x 16" in capsys.readouterr().out


@pytest.mark.medium
def test_the_steps_of_the_road_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("roadmap", "show", "--size", "tiny", "--json") == 0
    rows = {row["row"]: row for row in json.loads(capsys.readouterr().out)}

    assert len(rows) == 17
    assert rows["0"]["step"] == "resnet"
    assert rows["0"]["params"] == 25557032
    assert rows["8b"]["macs"] / 1e9 == pytest.approx(4.1456, abs=5e-5)
    assert (rows["12"]["published_gmacs"], rows["13"]["published_top1"]) == (4.46, 81.97)

    assert run("roadmap", "show", "--size", "nano") == 0
    assert "Separate downsampling" in capsys.readouterr().out


def test_an_option_overrides_the_named_recipe(image_folder: Path, tmp_path: Path) -> None:
    code = run(
        "train", "--data", str(image_folder), "--model", "convnext_test", "--model-fields", "stem_stride=1",
        "--recipe=quick", "--epochs", "2", "--lr", "0.002", "--batch-size", "16", "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert code == 0

    recipe = read_record(tmp_path / "run" / "record.json").settings["recipe"]
    assert (recipe["name"], recipe["epochs"], recipe["lr"], recipe["batch_size"]) == ("quick", 2, 0.002, 16)
    assert recipe["weight_decay"] == get_recipe("quick").optimizer.weight_decay


@pytest.mark.medium
def test_from_images_to_predictions(image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that a user does with own images, one of them broken, in order."""
    (image_folder / "vertical" / "broken.png").write_bytes(b"not an image")
    data, folder = ["--data", str(image_folder)], tmp_path / "run"
    train = [
        "train", *data, "--model", "convnext_test", "--model-fields", "stem_stride=1", "layer_scale_init=0.1",
        "--recipe", "quick", "--epochs", "8", "--batch-size", "8", "--out", str(folder),
    ]  # fmt: skip

    assert run(*train) == 2
    assert "broken.png" in capsys.readouterr().err
    assert not list(folder.iterdir())

    assert run(*train, "--skip-unreadable") == 0
    assert "skip" in capsys.readouterr().err

    assert run(*train, "--skip-unreadable") == 2
    assert "contains a finished run; give another --out" in capsys.readouterr().err

    assert run("evaluate", str(folder), *data, "--split", "train", "--skip-unreadable", "--json") == 0
    accuracy = json.loads(capsys.readouterr().out)
    assert accuracy.keys() == {
        *("top1", "top1_low", "top1_high", "loss", "n", "top1/horizontal", "top1/vertical"),
    }, "the best five of two classes would always be right"
    assert accuracy["top1"] > 80

    images = [str(image_folder / "horizontal"), str(image_folder / "vertical" / "1*.png")]
    assert run("predict", str(folder), *images, "--top", "1", "--json") == 0
    predictions: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    right = [guess["predictions"][0]["label"] == Path(guess["image"]).parent.name for guess in predictions]
    assert sum(right) / len(right) > 0.8

    images = [str(image_folder)]
    assert run("predict", str(folder), *images, "--top", "1") == 1
    out, err = capsys.readouterr()
    assert out.count("%") == 64
    assert err.count("\n") == 1
    assert "broken.png" in err
    assert run("predict", str(folder), *images, "--json") == 1
    assert len(json.loads(capsys.readouterr().out)) == 64
    assert run("predict", str(folder), *images, "--skip-unreadable") == 0
    assert capsys.readouterr().out.count("%") == 128

    new = tmp_path / "new" / "vertical"
    new.mkdir(parents=True)
    (new / "broken.png").write_bytes(b"not an image")
    assert run("evaluate", str(folder), "--data", str(new.parent)) == 2
    assert "--skip-unreadable" in capsys.readouterr().err
    assert run("predict", str(folder)) == 2
    assert "no images were given" in capsys.readouterr().err

    assert run("report", str(tmp_path)) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"
    assert "convnext_test" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.medium
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop_scale", ["0.5", "1.0"])
def test_evaluate_repeats_the_test_of_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], interpolation: str, crop_scale: str
) -> None:
    """Also where training cut its images out of whole ones on disk, and the test's squares fit in memory."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 256, (30, 21, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{number}.png")
    data, folder = ["--data", str(tmp_path / "pets")], tmp_path / "run"
    code = run(
        "train", *data, "--model", "convnext_test", "--model-fields", "stem_stride=1", "--recipe", "quick",
        "--epochs", "1", "--batch-size", "8", "--image-size", "16", "--interpolation", interpolation,
        "--crop-scale", crop_scale, "--loading-workers", "0", "--out", str(folder),
    )  # fmt: skip
    assert code == 0
    capsys.readouterr()
    assert run("evaluate", str(folder), *data, "--json") == 0
    tested = read_record(folder / "record.json").metrics["test_loss"]
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(tested, rel=1e-6)


def test_resume_begins_a_run_that_has_no_checkpoint(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that a scheduler can pass it each time; the run is the one that the command begins without it."""
    train = [
        "train", "--data", str(image_folder), "--model", "convnext_test", "--model-fields", "stem_stride=1",
        "--recipe", "quick", "--epochs", "1", "--batch-size", "16",
    ]  # fmt: skip
    assert run(*train, "--out", str(tmp_path / "plain")) == 0
    capsys.readouterr()
    assert run(*train, "--out", str(tmp_path / "new"), "--resume") == 0
    assert f"{tmp_path / 'new'} contains no checkpoint: the run begins" in capsys.readouterr().err
    losses = [read_record(tmp_path / name / "record.json").metrics["test_loss"] for name in ("plain", "new")]
    assert losses[0] == losses[1]


def test_resume_of_a_finished_run_prints_its_result_again(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that a job that a scheduler starts again succeeds; another command is refused."""
    train = [
        "train", "--data", str(image_folder), "--model", "convnext_test", "--model-fields", "stem_stride=1",
        "--recipe", "quick", "--epochs", "1", "--batch-size", "16", "--out", str(tmp_path / "run"), "--resume",
    ]  # fmt: skip
    assert run(*train) == 0
    result = capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}

    assert run(*train) == 0
    again = capsys.readouterr()
    assert again.out == result
    assert "contains this run, finished: nothing is left to train" in again.err
    assert run(*train, "--seed", "1") == 2
    assert "contains a finished run with seed 0, not 1; give another --out" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()} == before


def test_a_run_too_short_for_its_average_says_so_before_it_begins(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(image_folder), "--recipe", "quick", "--epochs", "1", "--batch-size", "16"]
    options += ["--ema-decay", "0.9999"]
    train = ["train", *options, "--model", "convnext_test", "--model-fields", "stem_stride=1"]
    assert run(*train, "--out", str(tmp_path / "run")) == 0
    said = capsys.readouterr().err
    assert said.count("the average of the weights (EMA) reaches back over 10,000 steps and the run has 4") == 1

    walk = ["roadmap", *options, "--steps", "13", "--seeds", "1", "--workers", "1", "--out", str(tmp_path / "walk")]
    assert run(*walk) == 0
    assert capsys.readouterr().err.count("the average of the weights (EMA) reaches back over 10,000 steps") == 1


def test_images_that_are_too_small_are_refused(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", "--data", str(image_folder), "--out", str(tmp_path / "run")) == 2
    assert "images of 16x16 are too small for this network; give a larger --image-size" in capsys.readouterr().err


@pytest.mark.medium
def test_a_walk_by_the_command_line(image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    walk = [
        "roadmap", "--data", str(image_folder), "--steps", "0,13", "--seeds", "1", "--epochs", "1",
        "--batch-size", "16", "--workers", "1", "--out", str(tmp_path / "walk"),
    ]  # fmt: skip
    assert run(*walk) == 0
    out = capsys.readouterr().out
    assert "Separate downsampling" in out
    assert str(tmp_path / "walk" / "road.png") in out
    assert "walking the road" not in out

    assert run(*walk, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["row"] for row in rows] == ["0", "13"]
    assert all(row["error"] is None and 0 <= row["test_top1"] <= 100 for row in rows)


@pytest.mark.slow
def test_output_may_end_early() -> None:
    """`modernet roadmap show | head -1` prints no traceback."""
    program = f"{sys.executable} -m modernet roadmap show --size nano --json | head -1"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[\n"
    assert done.stderr == ""


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("modernet 0.")
