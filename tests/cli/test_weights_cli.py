"""The verbs that handle weights, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from modernet.cli import main
from modernet.models import create_model
from modernet.weights.conversion import scheme_named


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A MobileNetV2 that always answers class 207, under timm's names."""
    torch.manual_seed(0)
    network = create_model("mobilenet_v2")
    bias = network.get_parameter("classifier.1.bias")
    nn.init.zeros_(bias)
    with torch.no_grad():
        bias[207] = 20.0
    save_file(scheme_named(network, "timm").to_stored(network.state_dict()), tmp_path / "mobilenet.safetensors")
    return tmp_path / "mobilenet.safetensors"


def test_a_photo_is_classified_with_weights_from_a_file(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (300, 200), (200, 160, 60)).save(tmp_path / "photo.jpg")
    arguments = ["predict", "--model", "mobilenet_v2", "--weights", str(file), str(tmp_path / "photo.jpg")]
    assert main(arguments) == 0
    best = capsys.readouterr().out.splitlines()[1]
    assert best.endswith("golden retriever")
    assert main([*arguments, "--top", "2", "--json"]) == 0
    (prediction,) = json.loads(capsys.readouterr().out)
    assert len(prediction["predictions"]) == 2
    assert prediction["predictions"][0]["probability"] > 0.9


@pytest.mark.parametrize(("model", "fields"), [("vit_test", {"image_size": 96}), ("swin_test", {"window_size": 7})])
def test_predict_takes_a_file_for_another_image_size(
    model: str, fields: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (120, 120), (90, 90, 90)).save(tmp_path / "photo.png")
    torch.save(create_model(model, num_classes=3, **fields).state_dict(), tmp_path / "weights.pth")
    assert main(["predict", "--model", model, "--weights", str(tmp_path / "weights.pth"), str(tmp_path)]) == 0
    assert "weights.pth is for images of" in capsys.readouterr().err


@pytest.mark.medium
def test_weights_are_converted_and_the_network_is_named(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "torchvision.safetensors"
    assert main(["convert", str(file), str(out), "--to", "torchvision"]) == 0
    assert capsys.readouterr().out == f"{out}: mobilenet_v2, from timm's names to torchvision's\n"
    assert "features.18.1.running_mean" in load_file(out)


def test_published_weights_are_listed_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "swin_tiny"]) == 0
    assert "swin_tiny.ms_in1k" in capsys.readouterr().out
    assert main(["weights", "convnext*", "--licence", "permissive", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert {entry["licence"] for entry in entries} <= {"apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause"}
    assert all(entry["address"].startswith("https://") for entry in entries)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["weights", "nothing*"], "no published weights match 'nothing*'"),
        (["weights", "--licence", "beerware"], "with licence 'beerware'; see modernet weights"),
        (["convert", "{file}", "out.pth", "--to", "tensorflow"], "no scheme for MobileNetV2 is called 'tensorflow'"),
        (["convert", "{file}", "out.pth", "--to", "timm", "--model", "resnet18"], "fit mobilenet_v2"),
        (["convert", "nowhere.pth", "out.pth", "--to", "timm"], "cannot read nowhere.pth: No such file"),
        (["predict", "--weights", "{file}", "photo.jpg"], "--weights needs --model NAME"),
        (
            ["predict", "--model", "mobilenet_v2", "--weights", "nowhere.pth", "{tmp}/photo.jpg"],
            "cannot read nowhere.pth",
        ),
        (["train", "--weights", "nowhere.pth", "--out", "{tmp}/run"], "cannot read nowhere.pth"),
        (["train", "--model", "tc.tag", "--out", "{tmp}/run"], "there are no published weights for tc"),
    ],
)
def test_a_mistake_with_weights_is_exit_code_2(
    arguments: list[str], message: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    assert main([argument.format(file=file, tmp=tmp_path) for argument in arguments]) == 2
    assert message in capsys.readouterr().err
