from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from modernet.data import ImageDataset
from modernet.errors import InputError
from modernet.models import create_model
from modernet.preparation import Preparation
from modernet.roadmap import road
from modernet.weights import NetworkSpec, load_network, save_network

ZOO = NetworkSpec("model", "convnext_test", {"stem_stride": 2})
DESIGN = NetworkSpec.of_design("Gelu", road("nano", stem_stride=2)[12].design)


SWIN, LEVIT = (NetworkSpec("model", name, {"image_size": 32}) for name in ("swin_test", "levit_test"))
"""Networks with buffers that are not saved."""


@pytest.mark.parametrize("spec", [ZOO, DESIGN, SWIN, LEVIT], ids=["model", "design", "swin", "levit"])
def test_a_saved_network_gives_the_same_scores(spec: NetworkSpec, stripes: ImageDataset, tmp_path: Path) -> None:
    network = spec.build(2).to(memory_format=torch.channels_last)
    images = torch.randn(4, 3, 32, 32)
    network(images)  # moves the running statistics of the norms
    save_network(tmp_path, network, spec, stripes.classes, stripes.preparation)
    saved = load_network(tmp_path)

    assert torch.equal(saved.network(images), network.eval()(images))
    assert (saved.classes, saved.preparation) == (stripes.classes, stripes.preparation)
    assert saved.spec.name == spec.name


def test_a_folder_without_a_network_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it has no network\.json; give the folder of a finished run"):
        load_network(tmp_path)


@pytest.mark.parametrize("damage", ["weights", "json", "other_network"])
def test_damaged_files_are_one_clear_line(damage: str, stripes: ImageDataset, tmp_path: Path) -> None:
    save_network(tmp_path, ZOO.build(2), ZOO, stripes.classes, stripes.preparation)
    if damage == "weights":
        weights = tmp_path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "json":
        (tmp_path / "network.json").write_text("{")
    else:
        description = json.loads((tmp_path / "network.json").read_text())
        description["spec"]["name"] = "resnet_test"
        description["spec"]["fields"] = {}
        (tmp_path / "network.json").write_text(json.dumps(description))

    with pytest.raises(InputError, match=r"cannot be read \(.+\); train it again") as error:
        load_network(tmp_path)

    assert "\n" not in str(error.value)


def test_a_run_from_before_a_field_was_renamed_is_loaded(stripes: ImageDataset, tmp_path: Path) -> None:
    spec = NetworkSpec("model", "vgg_test", {"dropout": 0.25})
    network = create_model("vgg_test", num_classes=2, drop_rate=0.25)
    save_network(tmp_path, network, spec, stripes.classes, stripes.preparation)
    saved = load_network(tmp_path)
    assert saved.spec.fields == {"drop_rate": 0.25}
    assert saved.network.get_submodule("classifier.2").p == 0.25


def test_a_field_that_no_network_has_is_said_as_it_is(stripes: ImageDataset, tmp_path: Path) -> None:
    spec = NetworkSpec("model", "vgg_test", {"drop_connect": 0.25})
    save_network(tmp_path, create_model("vgg_test", num_classes=2), spec, stripes.classes, stripes.preparation)
    with pytest.raises(InputError, match="no field of VGGConfig is called 'drop_connect'"):
        load_network(tmp_path)


@pytest.mark.parametrize("image_size", [24, (24, 32)])
def test_the_preparation_of_images_is_stored(
    tmp_path: Path, stripes: ImageDataset, image_size: int | tuple[int, int]
) -> None:
    preparation = Preparation(image_size, (0.5,) * 3, (0.2,) * 3, 0.875, "bicubic")
    save_network(tmp_path, ZOO.build(2), ZOO, stripes.classes, preparation)
    saved = load_network(tmp_path)

    assert saved.preparation == preparation
