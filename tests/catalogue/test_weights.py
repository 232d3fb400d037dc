"""The catalogue of published weights."""

from __future__ import annotations

import re

import pytest

from modernet.catalogue import WebFile, find_weights, list_weights
from modernet.catalogue.weights import PERMISSIVE
from modernet.errors import InputError
from modernet.files.hub_file import HubFile
from modernet.models import get_entry

ALL = list_weights()


def test_every_entry_is_complete() -> None:
    assert len(ALL) > 150
    for entry in ALL:
        config = get_entry(entry.model).config
        assert getattr(config, "image_size", entry.image_size) == entry.image_size, entry.name
        assert 0.8 <= entry.crop <= 1, entry.name
        assert len(entry.mean) == len(entry.std) == 3, entry.name
        assert isinstance(entry.file, HubFile) or re.fullmatch(r"https://\S+\.(pth|pt)", entry.file.url), entry.name
        if isinstance(entry.file, WebFile) and entry.file.sha256:
            assert re.fullmatch(r"[0-9a-f]{8,64}", entry.file.sha256), entry.name
    assert len({entry.name for entry in ALL}) == len(ALL)


@pytest.mark.parametrize(
    "family", ["convnext_tiny", "convnextv2_nano", "resnet50", "resnet50d", "vit_base_patch16", "deit_small",
               "swin_tiny", "mobilenet_v2", "levit_256", "coat_lite_small", "vgg16_bn", "alexnet_one_tower",
               "convnext_isotropic_small"],
)  # fmt: skip
def test_every_family_published_elsewhere_has_weights(family: str) -> None:
    assert list_weights(family)


def test_weights_are_found_by_tag_and_those_of_imagenet_alone_come_first() -> None:
    entry = find_weights("convnext_tiny.fb_in22k_ft_in1k")
    assert (entry.num_classes, entry.image_size, entry.interpolation) == (1000, 224, "bicubic")
    assert entry.trained_on == "ImageNet-22K, then ImageNet-1K"
    assert find_weights("convnext_tiny").trained_on in ("ImageNet-1K", "ImageNet-12K, then ImageNet-1K")
    assert find_weights("resnet50").num_classes == 1000


def test_licences_filter() -> None:
    free = list_weights(licence="permissive")
    assert {entry.licence for entry in free} <= set(PERMISSIVE)
    assert find_weights("convnextv2_tiny").licence == "cc-by-nc-4.0"
    assert not [entry for entry in free if entry.model == "convnextv2_tiny"]
    assert {entry.licence for entry in list_weights(licence="mit")} == {"mit"}


def test_networks_of_timm_have_the_weights_of_timm() -> None:
    assert [entry.name for entry in list_weights("timm:regnety_002*")] == ["timm:regnety_002.pycls_in1k"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "convnext_tiny.fb_in2k",
            "no set of weights for convnext_tiny is called 'convnext_tiny.fb_in2k'; did you",
        ),
        ("convnext_tny", "no model is called 'convnext_tny'; did you mean convnext_tiny"),
        ("tc", "there are no published weights for tc; give a file of weights"),
    ],
)
def test_unknown_names_are_one_line(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_weights(name)


def test_accuracies_belong_to_the_weights_not_to_the_architecture() -> None:
    def top1(name: str) -> float | None:
        return find_weights(name).top1

    assert top1("convnext_base.fb_in1k") == 83.8
    assert top1("convnext_base.fb_in22k_ft_in1k") == 85.8
    assert top1("convnextv2_atto.fcmae_ft_in1k") == 76.7
    assert top1("resnet50.tv2_in1k") == 80.858
    assert top1("convnext_base.fb_in22k") is None
    assert (top1("convnext_base.fb_in22k_ft_in1k_384"), top1("swin_large_384")) == (86.8, 87.3)
