from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from modernet.counting import count
from modernet.errors import InputError
from modernet.models import create_model
from modernet.models.replknet import LargeKernel, RepLKNet, reparameterise


def randomised(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in [
                (module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 1.5),
            ]:  # fmt: skip
                assert tensor is not None
                nn.init.uniform_(tensor, low, high, generator=generator)
    return network.eval()


@pytest.mark.parametrize("small_kernel", [3, 0])
def test_merged_equals_unmerged_and_has_the_parameter_names_of_the_merged_form(small_kernel: int) -> None:
    network = create_model("replknet_test", num_classes=5, small_kernel=small_kernel)
    assert isinstance(network, RepLKNet)
    randomised(network)
    merged = reparameterise(network)
    x = torch.randn(2, 3, 72, 64)
    expected = network(x)
    torch.testing.assert_close(merged(x), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())
    assert "stages.0.blocks.0.large_kernel.lkb_origin.conv.weight" in network.state_dict()
    other = create_model("replknet_test", num_classes=5, small_kernel=small_kernel, merged=True).eval()
    other.load_state_dict(merged.state_dict())
    torch.testing.assert_close(other(x), merged(x), rtol=0, atol=0)


def test_a_small_kernel_is_added_to_the_centre_of_the_large_one() -> None:
    layer = randomised(LargeKernel(4, 9, 3, merged=False))
    assert isinstance(layer, LargeKernel)
    before = layer.lkb_origin.conv.weight.clone()  # type: ignore[union-attr]
    scale = layer.lkb_origin.bn.weight / (layer.lkb_origin.bn.running_var + 1e-5).sqrt()  # type: ignore[union-attr,operator]
    layer.merge()
    change = layer.lkb_reparam.weight - before * scale[:, None, None, None]  # type: ignore[union-attr]
    middle = torch.zeros(9, 9, dtype=torch.bool)
    middle[3:6, 3:6] = True
    assert change[..., ~middle].abs().max() == 0
    assert change[..., middle].abs().min() > 0


@pytest.mark.medium
@pytest.mark.parametrize(
    ("name", "image_size", "params_m", "gmacs"),
    [("replknet_31b", 224, 79.539, 15.354), ("replknet_31b", 384, 79.539, 45.119),
     ("replknet_31l", 384, 172.184, 95.989), ("replknet_xl", 320, 335.436, 128.730)],
)  # fmt: skip
def test_without_the_small_kernels_the_counts_are_the_published_ones_and_merging_leaves_only_biases(
    name: str, image_size: int, params_m: float, gmacs: float
) -> None:
    with torch.device("meta"):
        counts = count(create_model(name, small_kernel=0), image_size)
        network = create_model(name, merged=True)
        merged = count(network, image_size)
    assert (round(counts.params / 1e6, 3), round(counts.macs / 1e9, 3)) == (params_m, gmacs)
    assert merged.macs == counts.macs
    # a norm has two parameters per channel, the bias that replaces it has one
    biases = sum(p.numel() for name, p in network.named_parameters() if name.endswith("lkb_reparam.bias"))
    assert merged.params == counts.params - biases


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depths": (1, 1)}, "give one number above 0 in each for every stage"),
        ({"kernel_sizes": (9, 7, 5, 4)}, "kernel_sizes is .*; give odd numbers"),
        ({"small_kernel": 5}, "small_kernel is 5; give an odd number up to"),
        ({"dw_ratio": 0.1}, "leave no channel; give larger values"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model("replknet_test", **fields)
