"""Training that starts from weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from modernet.cli import main
from modernet.data import ImageDataset
from modernet.errors import InputError
from modernet.models import create_model
from modernet.preparation import Preparation
from modernet.recipes import get_recipe
from modernet.records import read_record
from modernet.tasks import train_classifier
from modernet.training import Interrupted
from modernet.weights import NetworkSpec, StartingWeights, starting_weights
from modernet.weights.conversion import scheme_named

SPEC = NetworkSpec("model", "convnext_test", {"stem_stride": 1})
STANDING = get_recipe("finetune").replace(lr=0.0, epochs=1, warmup_epochs=0.0, batch_size=16, drop_path=0.0)
CPU = torch.device("cpu")


@pytest.fixture
def trained() -> dict[str, Tensor]:
    """Weights of a network for seven classes that no initialisation gives."""
    torch.manual_seed(0)
    network = create_model("convnext_test", stem_stride=1, num_classes=7)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network.state_dict()


@pytest.fixture
def file(trained: dict[str, Tensor], tmp_path: Path) -> Path:
    """Those weights under timm's names."""
    network = create_model("convnext_test", stem_stride=1, num_classes=7)
    path = tmp_path / "theirs.safetensors"
    save_file(scheme_named(network, "timm").to_stored(trained), path)
    return path


def start_from(file: Path) -> StartingWeights:
    return StartingWeights(file, Preparation(16, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)))


def test_the_body_starts_from_the_weights_and_the_classifier_from_scratch(
    stripes: ImageDataset, trained: dict[str, Tensor], file: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    run = tmp_path / "run"
    record = train_classifier(SPEC, stripes, STANDING, start=start_from(file), folder=run, device=CPU)
    after = load_file(run / "model.safetensors")
    assert after["head.weight"].shape == (2, 64)
    assert [
        name for name in trained if not name.startswith("head.") and not torch.equal(after[name], trained[name])
    ] == []
    assert json.loads((run / "network.json").read_text())["mean"] == [0.5, 0.4, 0.3]
    assert record.settings["weights"]["file"] == "theirs.safetensors"


def test_a_run_does_not_resume_from_other_weights(stripes: ImageDataset, file: Path, tmp_path: Path) -> None:
    run, recipe = tmp_path / "run", STANDING.replace(lr=1e-3)
    with pytest.raises(Interrupted):
        train_classifier(
            SPEC, stripes, recipe, start=start_from(file), folder=run, device=CPU, should_stop=lambda: True
        )
    with pytest.raises(InputError, match=r"weights .*, not None"):
        train_classifier(SPEC, stripes, recipe, folder=run, device=CPU)


def test_weights_of_another_network_are_refused_before_anything_is_written(
    stripes: ImageDataset, file: Path, tmp_path: Path
) -> None:
    spec = replace(SPEC, name="convnextv2_test")
    with pytest.raises(InputError, match="cannot be loaded into this ConvNeXt"):
        train_classifier(spec, stripes, STANDING, start=start_from(file), folder=tmp_path / "run", device=CPU)
    assert list((tmp_path / "run").iterdir()) == []


def test_published_weights_define_how_images_are_prepared(file: Path) -> None:
    start = starting_weights("convnext_tiny", file)
    assert (start.path, start.preparation.image_size, start.preparation.mean[0]) == (file, 224, 0.485)
    with pytest.raises(InputError, match="there are no published weights for convnext_test; give a file of weights"):
        starting_weights("convnext_test")


def test_the_command_line_fine_tunes_with_its_own_recipe(image_folder: Path, file: Path, tmp_path: Path) -> None:
    arguments = [
        "train", "--data", str(image_folder), "--model", "convnext_test", "--model-fields", "stem_stride=1",
        "--weights", str(file), "--image-size", "16", "--epochs", "1", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    assert main(arguments) == 0
    settings = read_record(tmp_path / "run" / "record.json").settings
    assert settings["recipe"]["layer_decay"] == get_recipe("finetune").optimizer.layer_decay
    assert settings["weights"]["file"] == "theirs.safetensors"
    assert main(["predict", str(tmp_path / "run"), str(image_folder / "vertical" / "1.png")]) == 0
