from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from modernet.models import create_model
from modernet.models.fused import (
    FusedBlock,
    FusedDepthwiseConv2d,
    FusedLayerNorm,
    FusedLayerNorm2d,
    use_kernels,
)

NETWORKS = (
    "convnext_test",
    "convnextv2_test",
    "convnext_large_kernel_test",
    "convnext_isotropic_test",
    "replknet_test",
)


def pair(name: str, **fields: float) -> tuple[nn.Module, nn.Module]:
    """Return a network and its twin with kernels; parameters that hide errors at their initial value are randomised."""
    torch.manual_seed(0)
    network = create_model(name, **fields).double()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.rand_like(parameter))
    return network, use_kernels(copy.deepcopy(network))


@pytest.mark.parametrize("name", NETWORKS)
def test_kernels_give_the_same_scores_and_gradients(name: str) -> None:
    network, twin = pair(name, drop_path_rate=0.3)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    scores = []
    for candidate in (network, twin):
        torch.manual_seed(1)  # drop the same paths
        scores.append(candidate(images))
        scores[-1].square().sum().backward()
    torch.testing.assert_close(*scores)
    for (key, plain), fused in zip(network.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(fused.grad, plain.grad, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("name", NETWORKS)
def test_kernels_keep_parameter_names(name: str) -> None:
    network, twin = pair(name)
    assert list(twin.state_dict()) == list(network.state_dict())
    twin.load_state_dict(network.state_dict())


def test_layers_with_kernels_use_them() -> None:
    kinds = {type(module) for module in use_kernels(create_model("convnext_test")).modules()}
    assert {FusedBlock, FusedLayerNorm2d, FusedLayerNorm} <= kinds
    kinds = {type(module) for module in use_kernels(create_model("replknet_test")).modules()}
    assert FusedDepthwiseConv2d in kinds


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, padding=1, groups=8, stride=2),
        nn.Conv2d(8, 8, 3, padding=2, groups=8, dilation=2),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, padding_mode="reflect"),
        nn.Conv2d(8, 16, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 3, padding=1, groups=4),
        nn.Conv2d(8, 8, (3, 5), padding=(1, 2), groups=8),
        nn.Conv2d(8, 8, 1, groups=8),
        nn.LayerNorm((8, 8)),
        nn.LayerNorm(8, elementwise_affine=False),
        nn.LayerNorm(8, bias=False),
    ],
    ids=repr,
)
def test_layers_without_a_matching_kernel_are_unchanged(layer: nn.Module) -> None:
    kind = type(layer)
    assert type(use_kernels(nn.Sequential(layer))[0]) is kind


def test_the_backend_can_be_changed_later() -> None:
    network = use_kernels(use_kernels(create_model("convnext_test")), "reference")
    backends = {module.backend for module in network.modules() if isinstance(module, FusedBlock)}
    assert backends == {"reference"}


def test_a_copy_keeps_the_backend() -> None:
    network = copy.deepcopy(use_kernels(create_model("convnext_test"), "reference"))
    assert network(torch.randn(1, 3, 32, 32)).shape == (1, 1000)
