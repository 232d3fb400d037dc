from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modernet.cli import main
from modernet.recipes import RECIPES, get_recipe, leaves


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, Any]]:
    assert main(["train", *arguments, "--explain", "--json"]) == 0
    values: dict[str, dict[str, Any]] = json.loads(capsys.readouterr().out)
    return values


def test_recipes_are_listed_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    assert "82.1 convnext_tiny" in out
    assert all(name in out for name in RECIPES)

    assert main(["recipes", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows.keys() == set(RECIPES)
    assert rows["resnet_strikes_back_a3"]["expected_top1"]["resnet50"] == 78.052
    assert (rows["deit"]["epochs"], rows["deit"]["batch_size"], rows["deit"]["optimizer"]) == (300, 1024, "adamw")


def test_one_recipe_is_described_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "deit"]) == 0
    assert "top-1:   79.9 % deit_small" in capsys.readouterr().out.splitlines()
    assert main(["recipes", "levit"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("differs: ") and "teacher" in line for line in lines)
    assert any(line.startswith("command: torchrun") and "--recipe levit" in line for line in lines)
    assert not any(line.startswith("top-1") for line in lines), "it was published with a teacher"
    assert any(line.split() == ["drop_path", "0", "0.1"] for line in lines)

    assert main(["recipes", "convnext", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["values"] == leaves(get_recipe("convnext"))
    assert described["models"]["convnext_small"] == {"drop_path": 0.4}


def test_every_value_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    values = explained(
        capsys, "--recipe", "convnext", "--model=convnext_small", "--batch-size", "128", "--epochs", "30",
        "--device-batch", "32", "--no-nesterov", "--data", "no/such/folder",
    )  # fmt: skip

    assert values["lr"] == {"value": 0.004 / 32, "stated": 0.004, "from": "0.004 x 128/4096, linear; recipe"}
    assert values["min_lr"]["stated"] == 1e-6
    assert values["warmup_lr"] == {"value": 0.0, "from": "recipe"}
    assert values["drop_path"] == {"value": 0.4, "from": "recipe, for convnext_small"}
    assert values["batch_size"] == {"value": 128, "from": "command line"}
    assert values["nesterov"] == {"value": False, "from": "command line"}
    assert values["warmup_epochs"] == {"value": 2.0, "from": "the recipe's share of the epochs"}
    assert values["device_batch"] == {"value": 32, "from": "command line; 4 micro-batches per step"}
    assert values["data"] == {"value": "no/such/folder", "from": "command line"}
    assert values["seed"] == {"value": 0, "from": "default"}
    assert leaves(get_recipe("convnext")).keys() - {"name", "source"} <= values.keys()


def test_a_learning_rate_from_the_command_line_is_scaled_with_the_batch_too(capsys: pytest.CaptureFixture[str]) -> None:
    values = explained(capsys, "--recipe", "convnext", "--batch-size", "1024", "--lr", "2e-3", "--lr-scaling", "sqrt")

    assert values["lr"] == {"value": 1e-3, "stated": 2e-3, "from": "0.002 x sqrt(1024/4096); command line"}


def test_what_depends_on_data_or_weights_is_explained_without_opening_them(capsys: pytest.CaptureFixture[str]) -> None:
    values = explained(capsys, "--data", "no/such/folder")
    assert values["image_size"] == {"value": None, "from": "data"}
    assert values["recipe"] == {"value": "small_images", "from": "default of the data"}

    values = explained(capsys, "--model", "convnext_tiny.fb_in1k")
    assert values["image_size"] == {"value": None, "from": "weights"}
    assert values["recipe"] == {"value": "finetune", "from": "default of the weights"}
    values = explained(capsys, "--model", "convnext_tiny", "--weights", "no/such/file.pth", "--image-size", "64")
    assert values["image_size"] == {"value": 64, "from": "command line"}
    assert values["weights"]["value"] == "no/such/file.pth"


def test_the_explanation_is_a_table_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--recipe", "swin", "--model", "swin_small", "--explain"]) == 0

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["lr", "0.001", "0.0005", "x", "1024/512,", "linear;", "recipe"] in lines
    assert ["drop_path", "0.3", "recipe,", "for", "swin_small"] in lines
    assert ["ema_decay", "-", "recipe"] in lines
    assert list(tmp_path.iterdir()) == []


@pytest.mark.medium
@pytest.mark.parametrize("name", list(RECIPES))
def test_the_command_of_every_recipe_is_valid(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(RECIPES[name].command)
    values = explained(capsys, *words[words.index("train") + 1 :])

    assert values["recipe"]["value"] == name
    assert values["batch_size"]["value"] == RECIPES[name].recipe.batch_size
    if RECIPES[name].expected:
        assert values["model"]["value"].partition(".")[0] in RECIPES[name].expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recipes", "convnet"], "no recipe is called 'convnet'; did you mean convnext"),
        (["train", "--weight-decy", "1"], "there is no option --weight-decy; did you mean --weight-decay"),
        (["train", "--lr", "-1", "--explain"], "lr is -1.0; it must be at least 0"),
        (["train", "--warmup-lr", "-1e-6", "--explain"], "warmup_lr is -1e-06; it must be at least 0"),
        (["train", "--clip-mode", "agd", "--explain"], "--clip-mode is 'agd'; give one of 'norm', 'agc'"),
        (["train", "--bce-threshold", "2", "--explain"], "bce_threshold is 2.0; it must be from 0 to 1"),
        (["train", "--model", "resnet81", "--explain"], "no model is called 'resnet81'"),
        (
            ["train", "--batch-size", "100", "--device-batch", "32", "--explain"],
            "batch_size 100 is not a multiple of device_batch 32; change one",
        ),
        (["train", "--device-batch", "0"], "device_batch is 0; give 1 or more"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()

    assert out == ""
    assert err.startswith(f"modernet: {message}")
    assert err.count("\n") == 1


@pytest.mark.medium
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_mistake_is_one_line_on_every_terminal(encoding: str) -> None:
    """The library that parses options draws its box by what the terminal can show."""
    command = [sys.executable, "-m", "modernet", "train", "--device-batch", "0"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONIOENCODING": encoding}
    )

    assert done.stderr == "modernet: device_batch is 0; give 1 or more; see modernet train --help\n"


def test_a_former_name_of_a_recipe_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(capsys, "--recipe", "small_pictures", "--lr", "1")["lr"]["value"] == 1
    assert main(["recipes", "small_pictures"]) == 0
    assert "small_images: " in capsys.readouterr().out


def test_of_an_option_given_twice_the_last_one_counts(capsys: pytest.CaptureFixture[str]) -> None:
    values = explained(capsys, "--recipe=deit", "--recipe", "swin", "--lr", "1", "--lr=2e-3", "--data=a", "--data", "b")

    assert values["recipe"]["value"] == "swin"
    assert values["lr"]["stated"] == 2e-3
    assert values["data"] == {"value": "b", "from": "command line"}
    assert values["weight_decay"]["value"] == get_recipe("swin").optimizer.weight_decay
