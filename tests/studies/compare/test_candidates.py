from pathlib import Path

import pytest

from modernet.errors import InputError
from modernet.recipes import get_recipe
from modernet.studies.compare.candidates import parse_candidates


def test_a_name_with_fields_is_a_network_and_their_values() -> None:
    (candidate,) = parse_candidates(["resnet18:width=16,depths=(1,1,1,1)"])
    assert candidate.model == "resnet18"
    assert candidate.fields == {"width": 16, "depths": (1, 1, 1, 1)}
    assert candidate.starts_from is None
    assert candidate.licence is None
    assert candidate.folder == "resnet18-width-16-depths-1-1-1-1"


def test_the_colon_of_timm_is_part_of_the_name() -> None:
    plain, changed = parse_candidates(["timm:resnet18", "timm:resnet18:drop_rate=0.1"])
    assert (plain.model, plain.fields) == ("timm:resnet18", {})
    assert (changed.model, changed.fields) == ("timm:resnet18", {"drop_rate": 0.1})


def test_a_tag_names_published_weights_with_their_licence() -> None:
    (candidate,) = parse_candidates(["convnext_tiny.fb_in1k"])
    assert candidate.starts_from == candidate.published == "convnext_tiny.fb_in1k"
    assert candidate.licence == "apache-2.0"
    request = candidate.train_request(get_recipe("quick"), "digit_scenes", 3, skip_unreadable=True)
    assert (request.model, request.weights, request.seed) == ("convnext_tiny.fb_in1k", None, 3)


@pytest.mark.parametrize("file", ["timm_resnet18.pth", "timm:resnet18.safetensors"])
def test_a_folder_of_weights_serves_those_that_it_has(file: str, tmp_path: Path) -> None:
    (tmp_path / file).touch()
    first, second = parse_candidates(["timm:resnet18", "convnext_test"], tmp_path)
    assert first.weights == tmp_path / file
    assert first.starts_from == file
    assert first.licence == ""
    assert first.published is None
    assert second.weights is None
    assert second.licence is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19", "no model is called .resnet19."),
        ("timm:resnet19x", "no network of timm is called"),
        ("convnext_tiny.fb_in2k", "no set of weights"),
        ("resnet18:widht=16", "did you mean"),
        ("resnet18:width=wide", "width is 'wide'"),
        ("resnet18:width", "no model is called"),
        ("resnet18:width=16,wide", "give name=value"),
        ("resnet18:num_classes=3", "number of classes of the data"),
        ("runs/first", "path of a run"),
        ("s4", "takes sequences"),
    ],
)
def test_a_name_that_means_nothing_is_reported(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_candidates([name])


def test_two_names_of_one_folder_are_reported() -> None:
    with pytest.raises(InputError, match="share a folder"):
        parse_candidates(["resnet18:width=16", "resnet18:width= 16"])


def test_a_folder_without_any_of_the_weights_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no weights for any"):
        parse_candidates(["convnext_test"], tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        parse_candidates(["convnext_test"], tmp_path / "elsewhere")


def test_two_files_for_one_network_are_reported(tmp_path: Path) -> None:
    for suffix in ("pth", "safetensors"):
        (tmp_path / f"convnext_test.{suffix}").touch()
    with pytest.raises(InputError, match="both weights for convnext_test"):
        parse_candidates(["convnext_test"], tmp_path)
