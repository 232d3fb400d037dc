"""Contrast, elastic transform, pixelation, JPEG and saturation are the published ones."""

from __future__ import annotations

import pytest
import torch

from data.transforms.corruptions.given_draws import differences
from data.transforms.corruptions.pictures import pictures
from data.transforms.corruptions.reference.digital import REFERENCE
from modernet.data.transforms.corruptions import SEVERITIES
from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.elastic import elastic_transform

ALL = [(severity, table) for table in (32, 64, 224, 299) for severity in SEVERITIES]


@pytest.mark.parametrize(("severity", "table"), ALL)
@pytest.mark.parametrize("size", [(64, 64), (37, 90)])
@pytest.mark.parametrize("name", ["pixelate", "jpeg_compression"])
def test_pil_gives_the_same_bytes(name: str, severity: int, table: int, size: tuple[int, int]) -> None:
    assert differences(REFERENCE[name], name, severity, pictures(2, *size), table).max() == 0


@pytest.mark.parametrize(("severity", "table"), ALL)
def test_saturation_is_as_published_for_all_colours(severity: int, table: int) -> None:
    noise = torch.randint(256, (1, 3, 100, 100), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    few = noise // 64 * 85  # grey, black, white, and colours with two equal channels
    levels = differences(REFERENCE["saturate"], "saturate", severity, torch.cat([noise, few]), table)
    assert levels.max() == 0


@pytest.mark.parametrize("severity", SEVERITIES)
def test_contrast_is_as_published(severity: int) -> None:
    levels = differences(REFERENCE["contrast"], "contrast", severity, pictures(3, 90, 120))
    assert levels.max() <= 1
    assert (levels > 0).mean() < 1e-3  # means that differ in the last bit


@pytest.mark.parametrize(("severity", "table"), ALL)
def test_the_elastic_transform_is_as_published(severity: int, table: int) -> None:
    levels = differences(REFERENCE["elastic_transform"], "elastic_transform", severity, pictures(2, 80, 110), table)
    assert levels.max() <= 1
    assert (levels > 0).mean() < 1e-3  # the reference has float32 positions


def test_nothing_moves_without_jitter_and_strength() -> None:
    images = torch.arange(8, dtype=torch.uint8).mul(30).expand(1, 3, 8, 8)
    chance = ImageChance(0, "", [0], images.device)
    moved = elastic_transform(images, chance, 1, 0, 0, 0)
    assert torch.equal(moved.to(torch.uint8), images)
