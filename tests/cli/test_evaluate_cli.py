"""`modernet evaluate --model`, on data whose classes have other names than the network's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from modernet import create_model
from modernet.cli import main
from modernet.records import read_record


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Random weights of a small network of two classes."""
    torch.manual_seed(0)
    save_file(create_model("resnet_test", num_classes=2).state_dict(), tmp_path / "two.safetensors")
    return tmp_path / "two.safetensors"


def test_published_weights_are_evaluated_on_folders_that_a_class_map_names(
    weights: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate = ["evaluate", "--model", "resnet_test", "--weights", str(weights), "--data", str(image_folder)]
    assert main(evaluate) == 2
    assert "class 'horizontal', and the network does not know it" in capsys.readouterr().err

    (tmp_path / "map.csv").write_text("horizontal,1\nvertical,class 0\n")
    assert main([*evaluate, "--class-map", str(tmp_path / "map.csv"), "--out", str(tmp_path / "out"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "images: evaluated on all 64 images\n" in err
    assert "images: 2 of the network's 2 classes, matched by map.csv\n" in err
    measured = json.loads(out)
    assert measured["top1_low"] < measured["top1"] < measured["top1_high"]

    record = read_record(tmp_path / "out" / "record.json")
    counts = record.details["confusion"]["counts"]
    assert [sum(row) for row in counts] == [32, 32]
    assert record.metrics["test_top1"] == measured["top1"] == 100 * (counts[0][0] + counts[1][1]) / 64
    assert record.settings["weights"]["file"] == "two.safetensors"

    for name, index in (("horizontal", "1"), ("vertical", "0")):
        shutil.move(image_folder / name, image_folder / index)
    assert main([*evaluate, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "images: 2 of the network's 2 classes, matched by index\n" in err
    assert json.loads(out)["top1"] == measured["top1"]


def test_a_folder_of_one_class_is_evaluated(
    weights: Path, image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(image_folder / "vertical")
    shutil.move(image_folder / "horizontal", image_folder / "class_1")
    assert main(["evaluate", "--model", "resnet_test", "--weights", str(weights), "--data", str(image_folder)]) == 0
    out, err = capsys.readouterr()

    assert "images: 1 of the network's 2 classes, matched by name\n" in err
    assert "top-5 100.0 % (89.3 to 100.0) (n = 32)" in out


@pytest.mark.slow
@pytest.mark.data("imagenet_like_400")
def test_a_network_trained_on_imagenet_recognises_natural_images(
    data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """About 92 % as the images' makers chose such that are classified well, and timm's own pipeline gives as much."""
    weights = data_folder.parent / "weights" / "timm_tf_efficientnet_lite0.safetensors"
    arguments = ["--model", "timm:tf_efficientnet_lite0", "--weights", str(weights), "--data", str(data_folder)]
    assert main(["evaluate", *arguments, "--json"]) == 0
    out, err = capsys.readouterr()

    assert "imagenet_like_400: 256 of the network's 1000 classes, matched by synset" in err
    measured = json.loads(out)
    assert measured["n"] == 400
    assert 90.5 < measured["top1"] < 93.5
