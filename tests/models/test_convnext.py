"""ConvNeXt V2, isotropic ConvNeXt, and large kernels."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models.convnext import ConvNeXtBlock
from torch import Tensor, nn

from modernet.counting import count
from modernet.errors import InputError
from modernet.models import create_model
from modernet.models.backbone import HEAD, STEM
from modernet.models.convnext import GRN, ConvNeXt, merge_small_kernels
from modernet.weights import load_weights


def randomised(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.3, 0.5, generator=generator)
    return network.eval()


def images(size: int = 64) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("conv_mlp", [False, True])
def test_v2_equals_timm(conv_mlp: bool) -> None:
    shape = {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32)}
    reference = randomised(timm.models.ConvNeXt(**shape, use_grn=True, ls_init_value=None, conv_mlp=conv_mlp))
    ours = create_model("convnextv2_test", num_classes=1000, **shape).eval()
    load_weights(ours, reference.state_dict())
    torch.testing.assert_close(ours(images()), reference(images()), rtol=1e-4, atol=1e-4)


def test_grn_equals_its_formula() -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    grn = randomised(GRN(5)).double()
    expected = torch.empty_like(x)
    for b in range(2):
        energy = [x[b, :, :, c].square().sum().sqrt() for c in range(5)]
        for c in range(5):
            share = energy[c] / (sum(energy) / 5 + 1e-6)
            gamma, beta = grn.gamma[0, 0, 0, c], grn.beta[0, 0, 0, c]
            expected[b, :, :, c] = gamma * x[b, :, :, c] * share + beta + x[b, :, :, c]
    torch.testing.assert_close(grn(x), expected)


def test_merging_small_kernels_keeps_the_scores_and_the_original_network() -> None:
    network = randomised(create_model("convnext_large_kernel_test"))
    assert isinstance(network, ConvNeXt)
    expected = network(images())
    merged = merge_small_kernels(network)
    assert not any("dwconv_small" in name for name in merged.state_dict())
    torch.testing.assert_close(merged(images()), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    torch.testing.assert_close(network(images()), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "params_m", "gmacs"),
    [
        ("convnext_tiny_31", 31.935, 6.1110),
        ("convnext_small_31", 58.269, 11.2605),
        ("convnext_base_31", 99.319, 18.7904),
    ],
)
def test_large_kernels_have_the_published_counts_once_merged(name: str, params_m: float, gmacs: float) -> None:
    with torch.device("meta"):
        counts = count(create_model(name, small_kernel=0), 224)
    assert round(counts.params / 1e6, 3) == params_m
    assert round(counts.macs / 1e9, 4) == gmacs


def test_isotropic_convnext_equals_timms_blocks_at_one_resolution() -> None:
    network = randomised(create_model("convnext_isotropic_test"))
    weights = network.state_dict()
    x = nn.functional.conv2d(images(), weights["stem.weight"], weights["stem.bias"], stride=16)
    for index in range(2):
        block = ConvNeXtBlock(16, ls_init_value=None)
        prefix = f"blocks.{index}."
        block_weights = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        block.load_state_dict(
            {
                name.replace("dwconv.", "conv_dw.").replace("pwconv", "mlp.fc"): value
                for name, value in block_weights.items()
            }
        )
        x = block.eval()(x)
    x = nn.functional.layer_norm(x.mean((2, 3)), (16,), weights["norm.weight"], weights["norm.bias"], 1e-6)
    expected = nn.functional.linear(x, weights["head.weight"], weights["head.bias"])
    torch.testing.assert_close(network(images()), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("parameter", "block", "single", "paper"),
    [
        ("downsample_layers.0.0.weight", STEM, (0, 0), STEM),
        ("stages.0.0.dwconv.weight", (0, 0), (0, 0), (0, 0)),
        ("downsample_layers.1.1.weight", (1, 0), (1, 0), (1, 0)),
        ("stages.1.2.pwconv1.weight", (1, 2), (1, 2), (1, 0)),
        ("stages.2.8.norm.weight", (2, 8), (2, 8), (2, 2)),
        ("head.weight", HEAD, HEAD, HEAD),
    ],
)
def test_group_keys_are_those_in_the_docstring(
    parameter: str, block: tuple[float, ...], single: tuple[float, ...], paper: tuple[float, ...]
) -> None:
    with torch.device("meta"):
        network = create_model("convnext_tiny")
    assert isinstance(network, ConvNeXt)
    assert parameter in dict(network.named_parameters())
    assert network.group_key(parameter) == block
    assert network.published_group_key(parameter, "single") == single
    assert network.published_group_key(parameter, "paper") == paper


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("convnext_test", {"kernel_sizes": (7, 7)}, "give one odd number, or one for each of 4 stages"),
        ("convnext_test", {"kernel_sizes": (7, 7, 7, 6)}, "give one odd number, or one for each of 4 stages"),
        ("convnext_test", {"small_kernel": 7}, "small_kernel is 7; give an odd number below each"),
        ("convnext_isotropic_test", {"depth": 0}, "depth is 0; give 1 or more"),
        ("convnext_isotropic_test", {"layer_scale_init": -1.0}, "layer_scale_init is -1.0; give a number above 0"),
    ],
)
def test_invalid_configs_raise(name: str, fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model(name, **fields)
