from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modernet.errors import InputError
from modernet.recipes import get_recipe
from modernet.studies.advise import AdviseRequest
from modernet.studies.advise.pool import MOST, Pool, choose_pool

RECIPE = get_recipe("small_images")


def chosen(size: int = 32, **changes: Any) -> Pool:
    return choose_pool(AdviseRequest("photos", RECIPE, **changes), size, 10, 500, 2, False)


@pytest.mark.medium
@pytest.mark.parametrize("size", [16, 28, 32, 64, 96, 100, 224])
def test_a_dozen_of_different_families_can_be_built_for_small_images(size: int) -> None:
    pool = chosen(size)
    assert len(pool.candidates) in (MOST - 3, MOST - 2, MOST - 1, MOST)
    assert len({each.model for each in pool.candidates}) == len(pool.candidates)
    assert all(each.weights is None and each.published is None for each in pool.candidates)
    assert "networks with published weights" in pool.not_tried
    assert set(pool.cost) == {each.label for each in pool.candidates}


@pytest.mark.medium
def test_a_longer_budget_allows_larger_networks() -> None:
    small, large = (chosen(budget_seconds=seconds) for seconds in (300.0, 400_000.0))
    assert max(macs for _, macs in large.cost.values()) > 2 * max(macs for _, macs in small.cost.values())


def test_a_network_of_a_fixed_size_is_made_for_the_images() -> None:
    pool = chosen(32, candidates=("vit_test", "resnet_test"))
    assert [each.label for each in pool.candidates] == ["vit_test:image_size=32", "resnet_test"]


def test_a_network_of_timm_is_made_for_the_images_where_it_is_built_for_one_size() -> None:
    pool = chosen(64, candidates=("timm:resnet10t", "timm:vit_tiny_patch16_224"))
    assert [each.label for each in pool.candidates] == ["timm:resnet10t", "timm:vit_tiny_patch16_224:image_size=64"]


def test_one_that_does_not_take_the_images_is_left_out_with_the_reason() -> None:
    pool = chosen(48, candidates=("coatnet_test", "resnet_test"))
    assert [each.label for each in pool.candidates] == ["resnet_test"]
    assert "image_size is 48; give a multiple of 32" in pool.not_tried["coatnet_test"]


def test_weights_with_another_licence_are_left_out() -> None:
    names = ("resnet18.fb_swsl_ig1b_ft_in1k", "resnet18.tv_in1k")
    pool = chosen(64, candidates=names, licence="permissive")
    assert [each.label for each in pool.candidates] == ["resnet18.tv_in1k"]
    assert pool.not_tried[names[0]] == "its weights have the licence cc-by-nc-4.0, not permissive"


def test_when_nothing_is_left_the_error_says_why() -> None:
    with pytest.raises(InputError, match=r"no candidate can be tried \(resnet18.fb_swsl_ig1b_ft_in1k: its weights"):
        chosen(64, candidates=("resnet18.fb_swsl_ig1b_ft_in1k",), licence="permissive")


def test_weights_that_are_not_named_after_a_network_are_listed(tmp_path: Path) -> None:
    for name in ("resnet_test.safetensors", "mine.pth"):
        (tmp_path / name).write_bytes(b"")
    pool = chosen(64, weights_dir=tmp_path)
    assert [each.model for each in pool.candidates] == ["resnet_test"]
    assert pool.not_tried == {"mine.pth": "is not named after a network"}


def test_a_folder_of_weights_gives_the_candidates(tmp_path: Path) -> None:
    for name in ("resnet18_tv_in1k.pth", "mobilenet_v2.safetensors", "notes.txt"):
        (tmp_path / name).touch()
    pool = chosen(64, weights_dir=tmp_path)
    assert [each.label for each in pool.candidates] == ["mobilenet_v2", "resnet18.tv_in1k"]
    assert all(each.weights is not None for each in pool.candidates)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file in .* is named after a network"):
        chosen(64, weights_dir=tmp_path)
