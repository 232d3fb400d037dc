from __future__ import annotations

from typing import Any

import pytest

from modernet.catalogue.published_models import DEVICES
from modernet.report.published.points import published_points


def one(source: str, name: str, size: int) -> dict[str, Any]:
    (found,) = (p for p in published_points() if (p["source"], p["name"], p["size"]) == (source, name, size))
    return found


def test_a_speed_of_another_size_is_scaled_by_the_pixels_and_named() -> None:
    point = one("resnetrs", "ResNet-RS-350", 256)
    published = one("timm", "resnetrs350.tf_in1k", 288)
    assert point["scaled"]["rtx4090"] == 288
    assert point["rtx4090"] == pytest.approx(published["rtx4090"] * (288 / 256) ** 2, rel=1e-3)
    assert published["scaled"] is None


def test_no_speed_of_another_size_goes_unsaid() -> None:
    known = {
        (point["name"].partition(".")[0], point["size"], device): point[device]
        for point in published_points()
        if point["source"] == "timm"
        for device in DEVICES
        if device in point and device not in (point["scaled"] or {})
    }
    assert len(known) > 3000
    for (architecture, size, device), speed in known.items():
        for other in (size * 2, size // 2):
            assert known.get((architecture, other, device)) != speed


def test_a_papers_missing_cost_is_timms_of_the_architecture_and_says_so() -> None:
    borrowed, stated = one("repvgg", "RepVGG-A0", 224), one("gfnet", "GFNet-S", 224)
    assert borrowed["gmacs"] == one("timm", "repvgg_a0.rvgg_in1k", 224)["gmacs"]
    assert (borrowed["borrowed"], stated["borrowed"]) == (1, 0)


def test_accuracy_at_224_is_set_against_288_where_both_are_known() -> None:
    brittle, sound = (one("timm", f"convnext_tiny.{tag}", 224) for tag in ("fb_in22k_ft_in1k", "fb_in1k"))
    assert (brittle["gain"], brittle["gain_sizes"]) == (-3.95, "224 to 288")
    assert sound["gain"] == pytest.approx(0.628)
    assert "gain" not in one("timm", "vgg16.tv_in1k", 224)
