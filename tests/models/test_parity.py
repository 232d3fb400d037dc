"""The same weights give the same scores as in independent implementations."""

from __future__ import annotations

import re
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from modernet.models import create_model


def images(size: int) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def randomise(network: nn.Module) -> None:
    """Norms, biases and layer scale too, so that swapped parameters show."""
    torch.manual_seed(0)
    for p in network.parameters():
        if p.ndim == 1:
            nn.init.uniform_(p, 0.5, 1.5)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            nn.init.uniform_(buffer, 0.5, 1.5)


@pytest.mark.medium
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_resnets_equal_torchvision_under_the_same_names(name: str) -> None:
    reference = torchvision.models.get_model(name, weights=None).eval()
    randomise(reference)
    ours = create_model(name).eval()
    ours.load_state_dict(reference.state_dict())
    expected = reference(images(64))
    torch.testing.assert_close(ours(images(64)), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


def test_a_resnet_d_equals_timm_under_the_same_names() -> None:
    reference = timm.create_model("resnet50d").eval()
    randomise(reference)
    ours = create_model("resnet50d").eval()
    ours.load_state_dict(reference.state_dict())
    expected = reference(images(72))  # 9 x 9 before the last shortcut, so its pool meets an edge
    torch.testing.assert_close(ours(images(72)), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


def timm_name(ours: str) -> str:
    """Return timm's name for a parameter of a ConvNeXt."""
    for pattern, reference in [
        (r"^downsample_layers\.0\.", "stem."),
        (r"^downsample_layers\.(\d)\.", r"stages.\1.downsample."),
        (r"^stages\.(\d)\.(\d+)\.", r"stages.\1.blocks.\2."),
        (r"\.dwconv\.", ".conv_dw."),
        (r"\.pwconv(\d)\.", r".mlp.fc\1."),
        (r"^norm\.", "head.norm."),
        (r"^head\.(?=weight|bias)", "head.fc."),
    ]:
        ours = re.sub(pattern, reference, ours, count=1)
    return ours


@pytest.mark.parametrize(
    ("ours_fields", "reference_fields"),
    [
        ({"depths": (1, 2, 1, 1), "dims": (8, 16, 24, 32)}, {"depths": (1, 2, 1, 1), "dims": (8, 16, 24, 32)}),
        (
            {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32), "layer_scale_init": 0.0},
            {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32), "ls_init_value": None},
        ),
        ({}, {"depths": (3, 3, 9, 3), "dims": (96, 192, 384, 768)}),
    ],
    ids=["small", "small without layer scale", "tiny"],
)
def test_convnext_equals_timm_with_mapped_names(ours_fields: dict[str, Any], reference_fields: dict[str, Any]) -> None:
    reference = timm.models.ConvNeXt(**reference_fields).eval()
    randomise(reference)
    weights = reference.state_dict()
    ours = create_model("convnext_tiny", **ours_fields).eval()
    assert {timm_name(name) for name in ours.state_dict()} == set(weights)
    ours.load_state_dict({name: weights[timm_name(name)] for name in ours.state_dict()})
    expected = reference(images(64))
    torch.testing.assert_close(ours(images(64)), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
