"""Creating networks by name, and their published figures."""

from __future__ import annotations

import importlib.util
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch

from modernet.catalogue import all_networks
from modernet.counting import count
from modernet.errors import InputError
from modernet.models import MODELS, ModelConfig, Published, create_model
from modernet.models.entry import register_model
from modernet.models.resnet import ResNet, ResNetConfig

DOCS = Path(__file__).parents[2] / "docs"
COUNTED = [name for name, entry in MODELS.items() if entry.published.params_m is not None]


def decimals(number: float) -> int:
    exponent = Decimal(repr(number)).as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


def zoo_pages() -> Any:
    """Import the script that writes the pages of the zoo."""
    spec = importlib.util.spec_from_file_location("make_zoo", DOCS / "make_zoo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.medium
@pytest.mark.parametrize("name", COUNTED)
def test_parameters_and_macs_are_as_published(name: str) -> None:
    published = MODELS[name].published
    assert published.params_m is not None
    assert (published.gmacs is None) == (name == "s4nd_convnext_tiny"), "published for another algorithm"
    with torch.device("meta"):
        counts = count(create_model(name), published.image_size, MODELS[name].config.in_chans)
    assert round(counts.params / 1e6, decimals(published.params_m)) == published.params_m
    if published.gmacs is not None:
        assert round(counts.macs / 1e9, decimals(published.gmacs)) == published.gmacs
    facts = all_networks()[name]
    assert (facts.params, facts.macs) == (counts.params, counts.macs), "the catalogue is out of date: make docs"
    row = zoo_pages().row(MODELS[name], facts)
    for page in (DOCS / "zoo.md", DOCS / "zoo" / f"{MODELS[name].family}.md"):
        assert row in page.read_text(encoding="utf-8").splitlines(), f"{page} is out of date: make docs"


def test_only_test_variants_lack_published_counts() -> None:
    assert set(MODELS.names()) - set(COUNTED) == set(MODELS.names("*_test"))


def test_the_pages_of_the_zoo_are_up_to_date() -> None:
    pages = zoo_pages()
    families = pages.families()
    assert {path.stem for path in (DOCS / "zoo").iterdir()} == families.keys()
    all_rows = {}
    for family, entries in families.items():
        text = (DOCS / "zoo" / f"{family}.md").read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if line.startswith("| `")]
        assert text == pages.family_page(entries, rows), f"docs/zoo/{family}.md is out of date: make docs"
        assert [line.split("`")[1] for line in rows] == [entry.name for entry in entries]
        all_rows[family] = rows
    text = (DOCS / "zoo.md").read_text(encoding="utf-8")
    assert text == pages.index_page(all_rows), "docs/zoo.md is out of date: make docs"


@pytest.mark.parametrize("family", sorted({entry.family for entry in MODELS.values()}))
def test_every_module_docstring_has_papers_an_idea_a_diagram_and_notes(family: str) -> None:
    about = next(entry.about for entry in MODELS.values() if entry.family == family)
    title, *parts = about.split("\n\n")
    assert "\n" not in title
    assert re.search(r"\b(19|20)\d\d\b", parts[0])
    assert any(part.startswith("    ") for part in parts[2:]), "no diagram"
    assert len(parts) >= 4, "no notes after the diagram"


def test_names_are_listed_by_pattern() -> None:
    assert MODELS.names("resnet1*2*") == ["resnet152", "resnet152d"]
    assert MODELS.names("no_such*") == []


@pytest.mark.parametrize("name", ["convnext_test", "gfnet_h_test"])
def test_a_layer_scale_may_be_given_as_an_integer(name: str) -> None:
    network = create_model(name, layer_scale_init=1)
    scales = [value for key, value in network.named_parameters() if key.endswith("gamma")]
    assert scales
    assert all(torch.equal(scale, torch.ones_like(scale, dtype=torch.float32)) for scale in scales)


def test_config_fields_can_be_overridden() -> None:
    network = create_model("convnext_test", dims=(4, 8, 8, 12), stem_stride=2, layer_scale_init=0.0, num_classes=2)
    assert network.feature_info.channels() == [4, 8, 8, 12]
    assert network.feature_info.reduction() == [2, 4, 8, 16]
    assert not [name for name, _ in network.named_parameters() if name.endswith("gamma")]


def test_an_unknown_model_raises_with_suggestions() -> None:
    with pytest.raises(InputError, match="no model is called 'convnext_tny'; did you mean convnext_tiny"):
        create_model("convnext_tny")


def test_an_unknown_field_raises_with_suggestions() -> None:
    with pytest.raises(InputError, match="no field of ConvNeXtConfig is called 'dim'; did you mean dims"):
        create_model("convnext_test", dim=(1, 2, 3, 4))


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("convnext_test", {"depths": (1, 1)}, r"depths \(1, 1\) and dims .* give one number above 0"),
        ("convnext_test", {"depths": (1, 0, 1, 1)}, "give one number above 0"),
        ("convnext_test", {"dims": (8, 8, 8, 0)}, "give one number above 0"),
        ("convnext_test", {"depths": (), "dims": ()}, "give one number above 0"),
        ("convnext_test", {"stem_stride": 0}, "stem_stride is 0; give 1 or more"),
        ("convnext_test", {"layer_scale_init": -1.0}, "layer_scale_init is -1.0; give a number above 0, or 0"),
        ("resnet_test", {"depths": (1, 0)}, r"depths is \(1, 0\); give one number above 0"),
        ("resnet_test", {"block": "wide"}, "block is 'wide'; give 'basic' or 'bottleneck'"),
        ("resnet18", {"groups": 2}, "groups is 2 and base_width is 64; basic blocks have 1 and 64"),
        ("resnet_test", {"groups": 0}, "groups 0 and base_width 64, leaving no channel; give 1 group"),
        ("resnet_test", {"base_width": 4}, "base_width 4, leaving no channel; give 1 group"),
    ],
)
def test_invalid_configs_raise(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model(name, **fields)


def test_registering_a_name_twice_raises() -> None:
    def resnet50() -> ResNetConfig:
        return ResNetConfig()

    with pytest.raises(KeyError, match="model 'resnet50' is registered twice"):
        register_model(ResNet, Published("a second one"))(resnet50)


def test_a_config_is_frozen() -> None:
    with pytest.raises(AttributeError):
        ModelConfig().num_classes = 3  # type: ignore[misc]
