"""`create_model`, `list_models` and `is_model` as scripts for timm call them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models import PretrainedCfg

import modernet
from modernet.catalogue import PretrainedWeights
from modernet.errors import InputError
from modernet.models import Backbone
from modernet.weights import fetch_weights, find_weights


def make(name: str, *arguments: Any, **fields: Any) -> Backbone:
    torch.manual_seed(0)
    network = modernet.create_model(name, *arguments, **fields)
    assert isinstance(network, Backbone)
    return network


def test_arguments_are_in_timms_order_and_none_means_the_default() -> None:
    network = make("resnet_test", False, None, None, "", None, False, True, True, num_classes=None, drop_path_rate=None)
    assert (network.num_classes, network.pretrained_cfg["architecture"]) == (1000, "resnet_test")
    assert modernet.create_model(model_name="resnet_test", scriptable=None, bn_eps=None)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_scriptable_network_is_the_same_and_can_be_scripted() -> None:
    network = make("resnet_test", scriptable=True, num_classes=4).eval()
    x = torch.randn(2, 3, 64, 64)
    expected = make("resnet_test", num_classes=4).eval()(x)
    assert torch.equal(network(x), expected)
    torch.testing.assert_close(torch.jit.script(network)(x), expected)


def test_an_image_size_is_a_side_or_two_equal_ones() -> None:
    assert make("vit_test", img_size=(32, 32)).get_parameter("pos_embed").shape[1] == 1 + 4
    assert make("convnext_test", img_size=96).pretrained_cfg["input_size"] == (3, 96, 96)
    assert make("swin_test", img_size=(64, 96)).pretrained_cfg["pool_size"] == (8, 12)
    with pytest.raises(InputError, match=r"image_size is \(32, 64\); give a value like 224"):
        make("vit_test", img_size=(32, 64))
    with pytest.raises(InputError, match="image_size is 0; give the side of a square in pixels, or height and width"):
        make("convnext_test", img_size=0)


def test_a_checkpoint_is_loaded_after_the_network_is_made(tmp_path: Path) -> None:
    network = make("mobilenet_v2_test", num_classes=4).eval()
    torch.save({"state_dict": network.state_dict()}, tmp_path / "last.pth")
    torch.manual_seed(1)
    again = modernet.create_model("mobilenet_v2_test", num_classes=4, checkpoint_path=tmp_path / "last.pth").eval()
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(again(x), network(x), rtol=0, atol=0)
    maps = modernet.create_model("mobilenet_v2_test", features_only=True, checkpoint_path=tmp_path / "last.pth").eval()
    torch.testing.assert_close(maps(x), network.forward_intermediates(x, intermediates_only=True), rtol=0, atol=0)
    with pytest.raises(InputError, match="cannot be loaded"):
        make("mobilenet_v2_test", num_classes=5, checkpoint_path=tmp_path / "last.pth")


@pytest.mark.parametrize("key", ["file", "state_dict"])
def test_weights_of_the_config_stand_in_for_published_ones(tmp_path: Path, key: str) -> None:
    network = make("convnext_test", num_classes=4)
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    source: Any = str(tmp_path / "mine.pth") if key == "file" else network.state_dict()
    for overlay in ("pretrained_cfg", "pretrained_cfg_overlay"):
        torch.manual_seed(1)
        same = modernet.create_model("convnext_test", pretrained=True, **{overlay: {key: source, "crop_pct": 1.0}})
        assert isinstance(same, Backbone)
        assert (same.num_classes, same.pretrained_cfg["crop_pct"]) == (4, 1.0)
        assert "state_dict" not in same.pretrained_cfg
        torch.testing.assert_close(dict(same.state_dict()), dict(network.state_dict()), rtol=0, atol=0)
        other = modernet.create_model("convnext_test", True, num_classes=7, **{overlay: {key: source}})
        assert isinstance(other, Backbone)
        assert other.head.out_features == 7
        assert torch.equal(other.get_parameter("norm.weight"), network.get_parameter("norm.weight"))


def test_a_given_config_decides_classes_channels_and_size() -> None:
    stated = {"num_classes": 7, "input_size": (1, 32, 32)}
    network = make("vit_test", pretrained_cfg=stated)
    assert (network.num_classes, network.in_chans, network.get_parameter("pos_embed").shape[1]) == (7, 1, 1 + 4)
    asked = make("vit_test", pretrained_cfg=stated, num_classes=5, in_chans=3, img_size=64)
    assert (asked.num_classes, asked.in_chans, asked.get_parameter("pos_embed").shape[1]) == (5, 3, 1 + 16)
    theirs = make("resnet_test", pretrained_cfg=PretrainedCfg(num_classes=3, input_size=(3, 96, 96)))
    assert (theirs.num_classes, theirs.pretrained_cfg["pool_size"]) == (3, (3, 3))


def test_a_config_with_weights_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elsewhere = {"url": "https://example.org/mine.pth"}
    for arguments in ({"pretrained_cfg": elsewhere}, {"pretrained_cfg_overlay": {"hf_hub_id": "someone/mine"}}):
        with pytest.raises(InputError, match=r"pretrained_cfg names weights at .*mine.*; download them and give file="):
            make("resnet18", True, device="meta", **arguments)
    make("resnet18", device="meta", pretrained_cfg=elsewhere)

    fetched = []

    def fetch(entry: PretrainedWeights, _folder: object) -> Any:
        fetched.append(entry.name)
        return make(entry.model).state_dict()

    monkeypatch.setattr("modernet.weights.pretrained.fetch_weights", fetch)
    make("resnet18", True, pretrained_cfg=make("resnet18.a2_in1k", device="meta").pretrained_cfg)
    assert fetched == ["resnet18.a2_in1k"]


def test_weights_without_a_classifier_make_a_network_without_one() -> None:
    network = make("convnext_tiny.dinov3_lvd1689m", device="meta")
    assert (network.num_classes, network(torch.empty(1, 3, 64, 64, device="meta")).shape) == (0, (1, 768))
    assert make("convnext_tiny.dinov3_lvd1689m", num_classes=10, device="meta").num_classes == 10


def test_a_tag_decides_classes_and_preparation() -> None:
    network = make("convnext_tiny.fb_in22k", device="meta")
    assert (network.num_classes, network.pretrained_cfg["tag"]) == (21841, "fb_in22k")
    assert network.pretrained_cfg["hf_hub_id"] == "timm/convnext_tiny.fb_in22k"
    other = make("convnext_tiny", pretrained_cfg="fb_in22k_ft_in1k_384", device="meta")
    assert other.pretrained_cfg["input_size"] == (3, 384, 384)
    assert make("vgg11", device="meta").pretrained_cfg["url"].endswith(".pth")
    with pytest.raises(InputError, match=r"no set of weights for resnet18 is called 'resnet18.a9_in1k'; did you mean"):
        make("resnet18.a9_in1k")


def test_weights_are_looked_for_in_the_folder_that_is_given(tmp_path: Path) -> None:
    file = tmp_path / "resnet18.tv_in1k.pth"
    file.write_bytes(b"weights")
    assert fetch_weights(find_weights("resnet18.tv_in1k"), tmp_path) == file


def test_names_are_listed_with_timms_filters() -> None:
    assert modernet.list_models(["resnet18", "vgg1?"], exclude_filters="vgg13") == [
        "resnet18",
        "vgg11",
        "vgg16",
        "vgg19",
    ]
    assert modernet.list_models(module="swin", exclude_filters=["*_test", "*_384"]) == [
        f"swin_{size}" for size in ("tiny", "small", "base", "large")
    ]
    assert modernet.list_models("swin_tiny", pretrained=True) == [
        each.name for each in modernet.list_weights("swin_tiny")
    ]
    assert modernet.list_models("*_test", pretrained=True) == []
    assert modernet.list_models("convnext*", pretrained=True, include_tags=False)[:2] == [
        "convnext_tiny",
        "convnext_small",
    ]
    assert "vgg11" not in modernet.list_models(pretrained=True)
    assert modernet.list_models("lenet1989", include_tags=True) == ["lenet1989"]
    assert modernet.list_models("swin_tiny.ms_in1k", include_tags=True, name_matches_cfg=True) == ["swin_tiny.ms_in1k"]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("resnet18", True),
        ("resnet18.a1_in1k", True),
        ("vit_base_patch16_224.augreg_in21k", True),
        ("timm:regnetx_002", True),
        ("timm:regnetx_2", False),
        ("resnet_18", False),
    ],
)
def test_known_names(name: str, known: bool) -> None:
    assert modernet.is_model(name) is known
