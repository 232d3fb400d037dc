from __future__ import annotations

import pytest

from modernet.catalogue.published_models import ACCURACIES, DEVICES, PublishedModel, published_models, published_source
from modernet.catalogue.published_papers import published_papers

TALK = [
    "levit",
    "regnetx",
    "regnety",
    "vit",
    "resnet",
    "efficientnet",
    "resnetd",
    "mobilevit",
    "repvgg",
    "crossvit",
    "convit",
    "resnetrs",
    "regnetz",
    "resnetblur",
    "vgg",
    "efficientnetv2",
    "convnext",
    "swin",
    "resnetv2d",
    "convnext_in22",
    "regnetv",
]
"""Families of the talk's chart "Which image models are best?"."""

AFTER = {
    2022: [
        "convnextv2",
        "deit3",
        "maxvit",
        "swinv2",
        "focalnet",
        "eva",
        "efficientformer",
        "mvitv2",
        "beitv2",
        "gcvit",
    ],
    2023: ["fastvit", "hiera", "eva02", "repvit", "efficientvit", "inception_next", "swiftformer"],
    2024: ["mobilenetv4", "rdnet", "mambaout", "starnet", "hgnetv2"],
    2025: ["naflexvit", "shvit", "lsnet"],
}
"""Year -> some families that came after it."""


def one(name: str, size: int) -> PublishedModel:
    (found,) = (model for model in published_models() if (model.name, model.image_size) == (name, size))
    return found


def test_every_number_is_of_one_image_size() -> None:
    small, large = one("convnext_tiny.fb_in1k", 224), one("convnext_tiny.fb_in1k", 288)
    assert (small.accuracies["top1"], large.accuracies["top1"]) == (82.066, 82.694)
    assert small.gmacs == pytest.approx(4.47)
    assert large.gmacs == pytest.approx(7.39)
    assert small.speeds["rtx4090_compiled"] > 1.5 * large.speeds["rtx4090_compiled"]
    assert small.licence == "apache-2.0"


def test_no_model_occurs_twice_at_one_size_and_all_have_an_accuracy() -> None:
    keys = [(model.name, model.image_size) for model in published_models()]
    assert len(keys) == len(set(keys)) > 1500
    for model in published_models():
        assert 0 < model.accuracies["top1"] < 100
        assert model.accuracies.keys() <= ACCURACIES.keys()
        assert model.speeds.keys() <= DEVICES.keys()
        assert model.params_m is not None
        assert model.params_m > 0


@pytest.mark.parametrize("family", TALK)
def test_the_families_of_the_talk_are_there(family: str) -> None:
    assert any(model.family == family for model in published_models())


@pytest.mark.parametrize("year", AFTER)
def test_families_that_came_after_the_talk_are_there(year: int) -> None:
    families = {model.family for model in (*published_models(), *published_papers())}
    assert set(AFTER[year]) - families == set()


def test_more_data_than_imagenet_is_named() -> None:
    assert one("convnext_tiny.fb_in22k_ft_in1k", 224).extra_data
    assert one("convnext_tiny.fb_in22k_ft_in1k", 224).family == "convnext_in22"
    assert one("vit_base_patch16_clip_224.openai_ft_in1k", 224).extra_data
    assert not one("resnet50.a1_in1k", 224).extra_data
    assert not one("convnextv2_atto.fcmae_ft_in1k", 224).extra_data


def test_the_source_names_its_commit() -> None:
    assert published_source() == "huggingface/pytorch-image-models, results/, commit aa4b5850; Apache-2.0"
