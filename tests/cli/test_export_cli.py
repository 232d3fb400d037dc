"""`modernet export`."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from modernet.cli import main
from modernet.models import create_model
from modernet.tasks import NamedNetwork
from modernet.tasks.typical_images import typical_images


@pytest.mark.medium
def test_a_run_is_exported_and_checked(image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    train = [
        "train", "--data", str(image_folder), "--model", "convnext_test", "--model-fields", "stem_stride=1",
        "--recipe", "quick", "--epochs", "1", "--batch-size", "32", "--out", str(run),
    ]  # fmt: skip
    assert main(train) == 0
    capsys.readouterr()

    assert main(["export", str(run), "--to", "onnx", "--optimized", "--batch", "2"]) == 0
    out, err = capsys.readouterr()
    assert "LayerNorm affines folded into the layers after" in out
    assert f"{run / 'network.onnx'}: convnext_test for float32 images 2 x 3 x 16 x 16" in out
    assert "scores differ from the network's by" in out
    assert all(line.startswith("exporting: ") for line in err.splitlines()), "no warnings"
    assert onnxruntime.InferenceSession(run / "network.onnx").get_inputs()[0].shape == [2, 3, 16, 16]


@pytest.mark.medium
def test_weights_of_the_zoo_are_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file(create_model("vgg_test", num_classes=7).state_dict(), "weights.safetensors")
    options = ["--to", "torch", "--with-normalisation"]

    assert main(["export", "--model", "vgg_test", "--weights", "weights.safetensors", *options]) == 0
    assert "vgg_test.pt2: vgg_test for uint8 images any x 3 x 64 x 64" in capsys.readouterr().out
    pixels = torch.zeros(3, 3, 64, 64, dtype=torch.uint8)
    assert torch.export.load("vgg_test.pt2").module()(pixels).shape == (3, 7)


@pytest.mark.medium
def test_images_of_a_folder_calibrate_and_judge_integers(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that tells horizontal stripes from vertical ones, by the distance of its features from their means."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    network = create_model("resnet_test", num_classes=7).eval()
    save_file(network.state_dict(), "weights.safetensors")
    named = NamedNetwork.of_model("resnet_test", Path("weights.safetensors"))
    preparation = named.saved.preparation
    pixels = typical_images(named, str(image_folder), preparation)
    horizontal = pixels.float().mean((1, 3)).var(1) > pixels.float().mean((1, 2)).var(1)
    images, head = preparation.normalise(pixels).contiguous(), network.fc
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        network.fc = nn.Identity()
        means = [network(images[chosen]).mean(0) for chosen in (horizontal, ~horizontal)]
        step = 20 * (means[0] - means[1]) / (means[0] - means[1]).square().sum()
        head.weight.zero_()
        head.bias.fill_(-100)
        for label, direction in ((2, step), (5, -step)):
            head.weight[label] = direction
            head.bias[label] = -direction @ (means[0] + means[1]) / 2
        network.fc = head
        answers = network(images).argmax(1)
    assert answers.equal(torch.where(horizontal, 2, 5))
    assert answers.unique().tolist() == [2, 5]
    save_file(network.state_dict(), "weights.safetensors")
    options = ["--to", "onnx", "--precision", "int8", "--data", str(image_folder)]

    assert main(["export", "--model", "resnet_test", "--weights", "weights.safetensors", *options]) == 0
    out, err = capsys.readouterr()
    assert "100.0 % equal top-1" in out
    assert "; 48 images" in out
    assert "warning" not in err.lower()
    session = onnxruntime.InferenceSession("resnet_test.onnx")
    assert session.get_inputs()[0].type == "tensor(float)"
    scores = torch.from_numpy(session.run(["scores"], {"images": images.numpy()})[0])
    assert scores.argmax(1).equal(answers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs/a"], "export needs --to"),
        (["runs/a", "--to", "tflite"], "--to is 'tflite'; give one of 'torch', 'onnx', 'openvino'"),
        (["--to", "onnx"], "give the folder of a finished run, or --model NAME"),
        (["runs/a", "--model", "vgg11", "--to", "onnx"], "or --model NAME, not both"),
        (["runs/a", "--weights", "a.pth", "--to", "onnx"], "--weights needs --model NAME"),
        (["runs/a", "--to", "onnx"], "no trained network in runs/a"),
        (["--model", "resnet18", "--to", "onnx", "--out", "a.pt2"], "with --to onnx give a name ending in .onnx"),
        (
            ["runs/a", "--to", "onnx", "--image-size", "8x0"],
            "--image-size is '8x0'; give pixels, such as 512, or HEIGHTxWIDTH",
        ),
        (
            ["runs/a", "--to", "onnx", "--precision", "int8"],
            "--precision int8 and --data, typical images to calibrate by",
        ),
        (["runs/a", "--to", "onnx", "--data", "photos"], "--precision int8 and --data, typical images to calibrate by"),
        (["runs/a", "--to", "onnx", "--batch", "some"], "--batch is 'some'; give any, or a number of images"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *arguments]) == 2
    out, err = capsys.readouterr()

    assert out == ""
    assert message in err
    assert err.count("\n") == 1
