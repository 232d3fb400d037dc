"""The catalogue's data and what it is written from."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import catalogue_files
from modernet.catalogue import all_networks, imagenet_classes, imagenet_synsets, road_counts
from modernet.counting import network_facts
from modernet.models import MODELS

WRITE = "the catalogue is out of date: make docs"


def test_every_network_is_listed_in_order_with_its_published_figures() -> None:
    assert list(all_networks()) == list(MODELS), WRITE
    for name, entry in MODELS.items():
        facts, published = all_networks()[name], entry.published
        assert (facts.family, facts.about) == (entry.family, entry.about)
        assert (facts.image_size, facts.top1, facts.source) == (published.image_size, published.top1, published.source)
        assert sum(stage.params for stage in facts.stages) == facts.params
        assert sum(stage.macs for stage in facts.stages) == facts.macs


@pytest.mark.parametrize("name", MODELS.names("*_test"))  # tests/models/test_zoo.py counts the others
def test_counts_are_those_of_the_networks(name: str) -> None:
    assert all_networks()[name] == network_facts(name), WRITE


@pytest.mark.parametrize(
    "size", ["nano", pytest.param("tiny", marks=pytest.mark.slow), pytest.param("base", marks=pytest.mark.slow)]
)
def test_counts_of_the_road_are_those_of_its_networks(size: str) -> None:
    assert road_counts()[size] == catalogue_files.road_rows(size), WRITE


def test_weights_are_those_that_timm_and_torchvision_publish() -> None:
    stored = json.loads((catalogue_files.FOLDER / "weights.json").read_text(encoding="utf-8"))
    if stored["from"] != catalogue_files.versions():
        pytest.skip(f"weights.json is of {stored['from']}")
    assert stored["weights"] == json.loads(json.dumps(catalogue_files.weight_rows())), WRITE


def test_the_classes_of_imagenet_are_those_of_timm() -> None:
    assert list(imagenet_classes()) == catalogue_files.imagenet_names()
    assert list(imagenet_synsets()) == catalogue_files.imagenet_synsets()
    assert (imagenet_classes()[207], imagenet_synsets()[207]) == ("golden retriever", "n02099601")


def test_what_is_only_printed_imports_no_torch() -> None:
    code = (
        "import sys; from modernet.cli import main\n"
        "for line in ('models', 'weights', 'show convnext_tiny', 'roadmap show --size tiny'):\n"
        "    assert main(line.split()) == 0\n"
        "sys.exit(' '.join(set(sys.modules) & {'torch', 'timm', 'torchvision', 'numpy'}) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
