from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modernet.data import ImageDataset, InMemory
from modernet.errors import InputError
from modernet.evaluation.probing import FrozenBackbone, backbone_of, frozen_features
from modernet.evaluation.scores import NonFiniteScores
from modernet.models import Backbone, create_model
from modernet.preparation import Preparation
from modernet.pretraining.masked import MaskedAutoencoder
from modernet.segmentation import UPerNet
from modernet.weights import NetworkSpec, SavedNetwork

PREPARATION = Preparation(16, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))


def saved(name: str = "resnet_test", **fields: Any) -> SavedNetwork:
    torch.manual_seed(0)
    spec = NetworkSpec("model", name, fields)
    return SavedNetwork(spec.build(7).eval(), spec, tuple("abcdefg"), PREPARATION)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("resnet_test", {}),
        ("vgg_test", {}),
        ("vit_test", {}),
        ("vit_test", {"global_pool": "avg"}),
        ("timm:resnet10t", {}),
    ],
)
def test_the_features_are_what_the_classifier_takes(name: str, fields: dict[str, Any]) -> None:
    network = saved(name, **fields).network
    assert isinstance(network, Backbone)
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        features = FrozenBackbone(network)(images)

        assert features.shape == (3, network.head_hidden_size)
        torch.testing.assert_close(network.get_classifier()(features), network(images))


@pytest.mark.parametrize(
    ("name", "layer"), [("resnet_test", 1), ("vit_test", 0), ("vit_test", -1), ("timm:vit_tiny_patch16_224", 2)]
)
def test_a_layer_gives_the_mean_of_its_map(name: str, layer: int) -> None:
    network = saved(name).network
    assert isinstance(network, Backbone)
    images = torch.randn(2, 3, 224 if name.startswith("timm:") else 64, 224 if name.startswith("timm:") else 64)
    with torch.no_grad():
        _, maps = network.forward_intermediates(images)
        features = FrozenBackbone(network, layer)(images)

    torch.testing.assert_close(features, maps[layer].flatten(2).mean(2))
    assert features.shape[1] == network.feature_info[layer].num_chs


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"there is no layer 2; give one from 0 to 1"):
        FrozenBackbone(backbone_of(saved("vit_test").network), 2)


class Masked(MaskedAutoencoder):
    def __init__(self, encoder: Backbone) -> None:
        super().__init__()
        self.encoder, self.cell = encoder, 16

    def forward(self, images: Tensor, hidden: Tensor) -> Tensor:
        raise AssertionError("only the encoder is of use")


def test_the_backbone_of_any_network_for_images_is_found() -> None:
    encoder = saved("vit_test").network
    assert isinstance(encoder, Backbone)
    assert backbone_of(Masked(encoder)) is encoder

    pruned = backbone_of(UPerNet(create_model("resnet_test"), 3, width=8))
    assert FrozenBackbone(pruned)(torch.randn(2, 3, 64, 64)).shape == (2, pruned.feature_info[-1].num_chs)

    with pytest.raises(InputError, match="a Linear has no backbone; give a network for images"):
        backbone_of(nn.Linear(1, 1))


def test_features_are_those_of_prepared_images_in_order(stripes: ImageDataset, cache: Path) -> None:
    network = saved()
    found = frozen_features(network, stripes, batch_size=7)
    assert list(found) == ["train", "validation", "test"]
    for name, features in found.items():
        split = getattr(stripes, name)
        assert isinstance(split, InMemory)
        with torch.no_grad():
            expected = FrozenBackbone(backbone_of(network.network))(PREPARATION.normalise(split.images))
        torch.testing.assert_close(features.vectors, expected)
        assert torch.equal(features.labels, split.labels)


def test_the_second_time_nothing_is_computed(stripes: ImageDataset, cache: Path) -> None:
    network = saved()
    ran: list[int] = []

    def first(network: SavedNetwork, data: ImageDataset = stripes, layer: int | None = None) -> Tensor:
        ran.clear()
        stem = backbone_of(network.network).get_submodule("conv1")
        watched = stem.register_forward_pre_hook(lambda *_: ran.append(1))
        found = frozen_features(network, data, ("train",), layer=layer)["train"]
        watched.remove()
        return found.vectors

    once = first(network)
    assert ran
    assert torch.equal(first(network), once)
    assert not ran
    first(network, layer=0)
    assert ran, "another layer"
    first(replace(network, inputs=replace(PREPARATION, mean=(0.0, 0.0, 0.0))))
    assert ran, "images prepared in another way"
    first(network, data=replace(stripes, train=stripes.test))
    assert ran, "other images"
    with torch.no_grad():
        next(network.network.parameters()).mul_(2)
    first(network)
    assert ran, "other weights"
    assert len([path for path in cache.iterdir() if path.suffix == ".npy"]) == 5


def test_a_damaged_file_of_the_cache_is_replaced(stripes: ImageDataset, cache: Path) -> None:
    network = saved()
    whole = frozen_features(network, stripes, ("test",))["test"]
    (file,) = cache.glob("*.npy")
    for content in (b"", b"no array", file.read_bytes()[:-5]):
        file.write_bytes(content)
        assert torch.equal(frozen_features(network, stripes, ("test",))["test"].vectors, whole.vectors)


def test_features_that_are_not_finite_are_an_error_and_are_not_kept(stripes: ImageDataset, cache: Path) -> None:
    network = saved()
    with torch.no_grad():
        next(network.network.parameters()).fill_(torch.nan)
    with pytest.raises(NonFiniteScores, match="NaN or infinity for 30 of 30 images"):
        frozen_features(network, stripes, ("test",))

    assert not list(cache.glob("*.npy"))
