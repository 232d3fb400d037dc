"""MobileNetV2 against torchvision."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from modernet.errors import InputError
from modernet.models import create_model
from modernet.models.mobilenetv2 import round_to_eight


@pytest.mark.parametrize("width_mult", [0.35, 1.0, 1.4])
def test_any_width_equals_torchvision_under_the_same_names(width_mult: float) -> None:
    reference = torchvision.models.mobilenet_v2(width_mult=width_mult, num_classes=5).eval()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in reference.state_dict().items():
        if tensor.ndim == 1:
            low, high = (0.5, 1.5) if name.endswith("var") else (-0.5, 1.0)
            nn.init.uniform_(tensor, low, high, generator=generator)
    ours = create_model("mobilenet_v2", width_mult=width_mult, num_classes=5).eval()
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(2, 3, 64, 64, generator=generator)
    expected = reference(x)
    torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


def test_feature_maps_have_every_stride() -> None:
    info = create_model("mobilenet_v2", features_only=True).feature_info
    assert info.channels() == [16, 24, 32, 96, 1280]
    assert info.reduction() == [2, 4, 8, 16, 32]


@pytest.mark.parametrize(("channels", "expected"), [(1, 8), (11.2, 16), (12, 16), (44.8, 48), (134.4, 136)])
def test_channels_round_to_multiples_of_eight_and_lose_at_most_10_percent(channels: float, expected: int) -> None:
    assert round_to_eight(channels) == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width_mult": 0.0}, "width_mult is 0.0; give a factor above 0"),
        ({"depths": (1, 2)}, r"depths is \(1, 2\); give seven numbers above 0"),
        ({"drop_rate": 1.0}, r"drop_rate is 1.0; give a rate in \[0, 1\)"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model("mobilenet_v2", **fields)
