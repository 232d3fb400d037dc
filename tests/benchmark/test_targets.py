from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from modernet.benchmark.targets import find_network
from modernet.errors import InputError

HERE = "benchmark.contenders:"


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("convnext_test", "modernet.models.convnext"),
        ("timm:resnet10t", "timm.models.resnet"),
        ("torchvision:squeezenet1_1", "torchvision.models.squeezenet"),
        (HERE + "sleeps_20_ms", "benchmark.contenders"),
    ],
)
def test_a_name_builds_the_network_of_its_library(name: str, package: str) -> None:
    network = find_network(name).build(64)
    assert type(network).__module__ == package


@pytest.mark.parametrize("name", ["vit_test", "timm:test_vit"])
def test_a_network_of_fixed_size_is_built_for_the_measured_size(name: str) -> None:
    network = find_network(name).build(96).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, 3, 96, 96)).shape == (1, 1000)


def test_optimized_marks_the_same_network() -> None:
    target = find_network("optimized:timm:resnet10t")
    assert target.optimized
    assert not find_network("timm:resnet10t").optimized


def test_only_networks_of_the_zoo_have_a_published_accuracy() -> None:
    assert find_network("convnext_tiny").top1 == 82.1
    assert find_network("timm:convnext_tiny").top1 is None


def test_a_function_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_file_of_mine.py").write_text("from torch import nn\ndef network():\n    return nn.Identity()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["elsewhere"])
    assert isinstance(find_network("a_file_of_mine:network").build(8), nn.Identity)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("convnext_tin", "no model is called 'convnext_tin'; did you mean convnext_tiny"),
        ("timm:convnext_tin", "no network of timm is called 'convnext_tin'; did you mean convnext_tiny"),
        ("torchvision:resnet51", "no network of torchvision is called 'resnet51'; did you mean resnet50"),
        ("optimized:convnext_tin", "no model is called 'convnext_tin'"),
        ("tim:convnext_tiny", "no network is called 'tim:convnext_tiny': there is no module 'tim'; give a name of"),
        (
            HERE + "sleeps_21_ms",
            "no function of benchmark.contenders is called 'sleeps_21_ms'; did you mean sleeps_20_ms",
        ),
        (HERE + "needs_argument", "needs_argument needs the arguments argument; give a function without arguments"),
        (HERE + "THREE", "benchmark.contenders:THREE is not a function; give one without arguments"),
    ],
)
def test_an_unknown_name_is_rejected_with_suggestions(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_network(name)


def test_a_function_that_returns_something_else_is_rejected() -> None:
    with pytest.raises(InputError, match=r"returns_a_number returns 3; give a function that returns an nn\.Module"):
        find_network(HERE + "returns_a_number").build(8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def network(: return",
            r"cannot import 'unreadable': SyntaxError: invalid syntax \(unreadable.py, line 1\); fix it first",
        ),
        (
            "import no_such_thing",
            "cannot import 'unreadable': ModuleNotFoundError: No module named 'no_such_thing'; fix it first",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_is_reported_in_one_line(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unreadable.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=message):
        find_network("unreadable:network")
