"""Snow, fog, brightness and spatter are the published ones, given the same random numbers."""

from __future__ import annotations

import sys

import pytest
import torch

from data.transforms.corruptions.given_draws import differences
from data.transforms.corruptions.pictures import pictures
from data.transforms.corruptions.reference.weather import REFERENCE
from modernet.data.transforms.corruptions import CORRUPTIONS, SEVERITIES, Corrupt
from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.errors import InputError


@pytest.mark.parametrize("table", [32, 224])
@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", ["snow", "frost", "fog", "spatter"])
def test_weather_is_as_published(name: str, severity: int, table: int) -> None:
    h, w = {32: (32, 28), 224: (120, 224)}[table]
    levels = differences(REFERENCE[name], name, severity, pictures(3, h, w), table)
    assert levels.max() <= 1
    assert (levels > 0).mean() < 1e-3  # float32 on the boundary between two grey levels


@pytest.mark.parametrize("table", [32, 224])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_is_as_published_for_all_colours(severity: int, table: int) -> None:
    noise = torch.randint(256, (2, 3, 100, 100), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    few = noise[:1] // 64 * 85  # grey, black, white, and colours with two equal channels
    levels = differences(REFERENCE["brightness"], "brightness", severity, torch.cat([noise, few]), table)
    assert levels.max() == 0


def test_fog_covers_images_larger_than_its_published_size() -> None:
    images = pictures(1, 20, 300)
    strength, decay, _ = CORRUPTIONS["fog"].parameters(3, 224)
    chance, same = (ImageChance(0, "fog", [0], images.device) for _ in range(2))
    foggy = CORRUPTIONS["fog"].function(images, chance, strength, decay, 256)
    expected = REFERENCE["fog"](images[0].permute(1, 2, 0).numpy(), same.streams[0], strength, decay, 512)
    assert torch.allclose(foggy[0].permute(1, 2, 0).double(), torch.from_numpy(expected), atol=1e-3)


def test_fog_scales_by_the_brightest_value_of_the_image() -> None:
    dim = pictures(2, 40, 40).clamp(max=90)
    assert Corrupt("fog", 3)(dim).max() <= 90
    assert Corrupt("fog", 3)(torch.zeros_like(dim)).max() == 0


def test_snow_falls_more_down_than_across() -> None:
    black = torch.zeros(8, 3, 96, 96, dtype=torch.uint8)
    snowy = Corrupt("snow", 1, table=224)(black, range(8)).double()
    down, across = snowy.diff(dim=2).square().mean(), snowy.diff(dim=3).square().mean()
    assert down < across / 1.5
    assert torch.equal(snowy, snowy.flip(2, 3))  # the flakes are added twice, once turned by 180 degrees


def test_spatter_without_drops_changes_nothing() -> None:
    images = pictures(2, 30, 40)
    chance = ImageChance(0, "", range(2), images.device)
    for mud in (False, True):
        dry = CORRUPTIONS["spatter"].function(images, chance, -1.0, 0.1, 1, 0.7, 0.6, mud)
        assert torch.equal(dry.to(torch.uint8), images)


def test_water_without_opencv_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"spatter needs OpenCV, .*; pip install 'modernet\[corruptions\]'"):
        Corrupt("spatter", 1)(pictures(1, 30, 40))
    Corrupt("spatter", 5)(pictures(1, 30, 40))  # mud does not need it
