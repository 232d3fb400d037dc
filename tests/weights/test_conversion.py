"""From one project's names to another's and back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from modernet import models, weights
from modernet.errors import InputError
from modernet.weights import convert
from modernet.weights.conversion import scheme_named
from modernet.weights.schemes import schemes_of

FAMILIES = ["convnext_test", "convnextv2_test", "levit_test", "resnet_test", "swin_test", "vgg_test", "vit_test"]


def random_weights(name: str, num_classes: int = 1000) -> dict[str, Tensor]:
    torch.manual_seed(0)
    network = models.create_model(name, num_classes=num_classes)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return {each: value.contiguous() for each, value in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.medium
@pytest.mark.parametrize("model", FAMILIES)
def test_a_round_trip_through_files_is_bit_identical(model: str, tmp_path: Path) -> None:
    ours = random_weights(model)
    save_file(ours, tmp_path / "ours.safetensors")
    network = models.create_model(model)
    projects = [s.project for s in schemes_of(network) if s.writable and s.fits(ours) and not s.absent]
    assert len(projects) > 1
    for project in projects:
        theirs = tmp_path / f"{project}.pth"
        convert(tmp_path / "ours.safetensors", theirs, project, model=model)
        name, found = convert(theirs, tmp_path / "back.safetensors", "original", model=model)
        assert name == model
        assert [*scheme_named(network, found).to_stored(ours)] == [*scheme_named(network, project).to_stored(ours)]
        assert same(load_file(tmp_path / "back.safetensors"), ours), project


@pytest.mark.medium
def test_the_network_is_recognised_whatever_its_number_of_classes(tmp_path: Path) -> None:
    save_file(random_weights("resnet18", num_classes=7), tmp_path / "theirs.safetensors")
    name, found = convert(tmp_path / "theirs.safetensors", tmp_path / "out.safetensors", "transformers")
    assert (name, found) == ("resnet18", "original")
    assert "resnet.embedder.embedder.convolution.weight" in load_file(tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("out", "to", "model", "message"),
    [
        ("out.onnx", "timm", "convnext_test", "give a path that ends in .safetensors or .pth"),
        ("out.pth", "tim", "convnext_test", "no scheme for ConvNeXt is called 'tim'; did you mean timm"),
        ("out.pth", "timm", "convnextv2_test", "cannot be loaded into this ConvNeXt"),
        ("out.pth", "timm", "nothing", "no model is called 'nothing'"),
    ],
)
def test_a_failed_conversion_is_explained_and_writes_nothing(
    out: str, to: str, model: str, message: str, tmp_path: Path
) -> None:
    save_file(random_weights("convnext_test"), tmp_path / "in.safetensors")
    with pytest.raises(InputError, match=message):
        convert(tmp_path / "in.safetensors", tmp_path / out, to, model=model)
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]


def test_weights_of_no_network_are_an_error(tmp_path: Path) -> None:
    save_file({"something.weight": torch.zeros(3)}, tmp_path / "in.safetensors")
    with pytest.raises(InputError, match="fits no network of the zoo; give --model NAME"):
        weights.convert(tmp_path / "in.safetensors", tmp_path / "out.pth", "timm")
