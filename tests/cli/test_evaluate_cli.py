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
from modernet.weights import pretrained


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
    (image_folder / "vertical" / "broken.png").write_bytes(b"no image")
    assert main(evaluate) == 2
    assert "class 'horizontal', and the network does not know it" in capsys.readouterr().err, "found before reading"
    (image_folder / "vertical" / "broken.png").unlink()

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
    settings = record.settings
    assert settings["weights"]["file"] == "two.safetensors"
    assert len(settings["weights"]["fingerprint"]) == 12
    assert settings["class_map"]["file"] == "map.csv"
    assert settings["real"] is False
    assert settings["inference"] == {"window": 0, "stride": 0, "scales": [1.0], "flip": False}
    assert (settings["data"]["name"], settings["data"]["n"], settings["data"]["unreadable"]) == ("images", 64, [])

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
    assert "top-5" not in out, "the best five of two classes are always right"


def test_the_record_names_the_images_whatever_the_network_and_those_that_were_skipped(
    weights: Path, image_folder: Path, tmp_path: Path
) -> None:
    for name, index in (("horizontal", "1"), ("vertical", "0")):
        shutil.move(image_folder / name, image_folder / index)
    torch.save(create_model("vit_test", num_classes=2, image_size=96).state_dict(), tmp_path / "larger.pth")
    (image_folder / "0" / "broken.png").write_bytes(b"no image")
    prints = []
    for model, file in (("resnet_test", weights), ("vit_test", tmp_path / "larger.pth")):
        out = tmp_path / model
        arguments = ["evaluate", "--model", model, "--weights", str(file), "--data", str(image_folder)]
        assert main([*arguments, "--skip-unreadable", "--out", str(out)]) == 0
        data = read_record(out / "record.json").settings["data"]
        assert [Path(name).name for name in data["unreadable"]] == ["broken.png"]
        prints.append(data["fingerprint"])

    assert prints[0] == prints[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--data", "nowhere"], "nowhere"),
        (["evaluate", "--data", "{images}", "--class-map", "no.csv"], "cannot read the class map no.csv"),
        (["evaluate", "--data", "{images}", "--batch-size", "0"], "batch_size is 0"),
        (["evaluate", "--data", "{images}", "--save-json", "x"], "--save-json writes what a detector finds"),
        (["evaluate", "--data", "{images}", "--flip"], "leave out --window, --scales and --flip"),
        (["evaluate", "--data", "{images}", "--out", "{images}/0.txt"], "give another --out"),
        (["predict"], "no images were given"),
        (["predict", "{images}/no.jpg"], "no image matches"),
        (["predict", "{images}", "--out", "x"], "a classifier draws nothing"),
        (["predict", "{images}", "--min-score", "0.3"], "--min-score is for detectors"),
        (["robustness", "--data", "nowhere"], "nowhere"),
        (["robustness", "--data", "{images}", "--class-map", "no.csv"], "cannot read the class map no.csv"),
    ],
)
def test_mistakes_are_found_before_weights_are_fetched(
    arguments: list[str],
    message: str,
    image_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fetched(*given: object) -> None:
        raise AssertionError("fetched")

    monkeypatch.setattr(pretrained, "fetch_weights", fetched)
    (image_folder / "0.txt").write_text("in the way")
    verb, *rest = (argument.format(images=image_folder) for argument in arguments)
    name = ["resnet18"] if verb == "robustness" else ["--model", "resnet18"]

    assert main([verb, *name, *rest]) == 2
    assert message in capsys.readouterr().err


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
