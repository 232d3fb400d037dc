from __future__ import annotations

import re

import pytest

from modernet.catalogue.published_models import ACCURACIES, PublishedModel, published_models
from modernet.catalogue.published_papers import PAPER_DEVICES, PAPERS, published_papers


def one(source: str, name: str, size: int = 224) -> PublishedModel:
    (found,) = (m for m in published_papers() if (m.source, m.name, m.image_size) == (source, name, size))
    return found


def test_every_result_names_a_source_and_every_source_has_results() -> None:
    assert {model.source for model in published_papers()} == set(PAPERS)
    for source in PAPERS.values():
        assert re.fullmatch(r"20\d\d-\d\d", source.date)
        assert source.date <= source.read
        assert source.address.startswith("https://")


def test_no_network_occurs_twice_in_a_source_and_numbers_are_in_range() -> None:
    keys = [(model.source, model.name, model.image_size) for model in published_papers()]
    assert len(keys) == len(set(keys)) > 200
    for model in published_papers():
        assert 0 < model.accuracies["top1"] < 100
        assert model.accuracies.keys() <= ACCURACIES.keys()
        assert model.speeds.keys() <= PAPER_DEVICES.keys()
        assert model.mce is None or 20 < model.mce < 100


def test_architectures_are_those_of_timm_with_the_parameters_that_the_paper_states() -> None:
    known = {model.architecture: model.params_m for model in published_models()}
    for model in published_papers():
        if model.architecture:
            params = known[model.architecture]
            assert params is not None
            assert model.params_m is None or model.params_m == pytest.approx(params, rel=0.15)


def test_the_convnext_paper_is_given_as_printed() -> None:
    tiny = one("convnext", "ConvNeXt-T")
    assert (tiny.accuracies, tiny.mce) == ({"top1": 82.1, "a": 24.2, "r": 47.2, "sketch": 33.8}, 53.2)
    assert tiny.speeds == {"a100": 1943.5}
    assert one("convnext", "ConvNeXt-XL, ImageNet-22K", 384).mce == 38.8
    assert one("convnext_8", "ResNet-50").mce == 76.7


def test_the_talks_families_that_have_a_paper_have_its_numbers() -> None:
    talk = {
        "levit", "regnetx", "regnety", "vit", "resnet", "efficientnet", "mobilevit", "repvgg", "crossvit", "convit",
        "resnetrs", "vgg", "efficientnetv2", "convnext", "swin", "convnext_in22",
    }  # fmt: skip
    assert talk <= {model.family for model in published_papers()}
