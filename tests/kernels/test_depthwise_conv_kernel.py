"""The depthwise convolution's kernel, on a GPU or in Triton's interpreter."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.agreement import assert_as_exact_as_pytorch, poisoned
from modernet.kernels.depthwise_conv import depthwise_conv, depthwise_conv_reference

pytestmark = pytest.mark.kernel

fused = partial(depthwise_conv, backend="triton")


def inputs(
    batch: int, channels: int, height: int, width: int, size: int, device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    torch.manual_seed(0)
    shapes = {"x": (batch, channels, height, width), "weight": (channels, 1, size, size), "bias": (channels,)}
    return {name: torch.randn(shape).to(device, dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("batch", "channels", "height", "width", "size", "dtype"),
    [
        (2, 24, 5, 7, 3, torch.float32),
        (1, 40, 9, 3, 3, torch.bfloat16),  # channels in two blocks, one of them not full; rows in two strips
        (1, 3, 3, 4, 5, torch.float32),
        (3, 3, 2, 23, 7, torch.float32),  # more columns than a program takes; kernel higher than the map
        (2, 24, 2, 3, 7, torch.bfloat16),
        (1, 3, 2, 3, 1, torch.float32),
        (1, 17, 1, 1, 7, torch.float32),  # a map of one position
        (1, 3, 4, 5, 9, torch.float32),
        (1, 3, 2, 3, 13, torch.float32),  # the kernel in two bands
        (1, 2, 2, 1, 31, torch.float32),
    ],
)
def test_it_is_as_exact_as_pytorch(
    batch: int, channels: int, height: int, width: int, size: int, dtype: torch.dtype, device: torch.device
) -> None:
    given = inputs(batch, channels, height, width, size, device, dtype)
    assert_as_exact_as_pytorch(fused, depthwise_conv_reference, dict(given))


def test_rows_see_only_the_bands_of_a_large_kernel_that_meet_the_map(device: torch.device) -> None:
    x, weight, _ = inputs(
        1, 2, 9, 1, 31, device, torch.float32
    ).values()  # other bands for the first rows than the last
    with torch.no_grad():
        torch.testing.assert_close(fused(x, weight), depthwise_conv_reference(x, weight, None))


def test_it_is_as_exact_as_pytorch_without_bias(device: torch.device) -> None:
    given = inputs(1, 8, 5, 4, 3, device, torch.float32)
    assert_as_exact_as_pytorch(fused, depthwise_conv_reference, {**given, "bias": None})


def test_only_the_gradients_that_are_needed_are_computed(device: torch.device) -> None:
    given = inputs(1, 8, 5, 4, 3, device, torch.float32)
    for name in given:
        leaves = {key: x.requires_grad_() if key == name else x.detach() for key, x in given.items()}
        (gradient,) = torch.autograd.grad(fused(**leaves).square().sum(), leaves[name])
        (expected,) = torch.autograd.grad(depthwise_conv_reference(**leaves).square().sum(), leaves[name])
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", ["contiguous", "channels last", "slice", "expanded"])
def test_any_memory_format_gives_channels_last(layout: str, device: torch.device) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 5, 4, device=device)
    x = {
        "contiguous": x,
        "channels last": x.contiguous(memory_format=torch.channels_last),
        "slice": torch.randn(2, 12, 5, 8, device=device)[:, ::2, :, 1:5],
        "expanded": x[:1].expand(2, -1, -1, -1),
    }[layout]
    weight = torch.randn(6, 1, 3, 3, device=device)
    y = fused(x, weight)
    torch.testing.assert_close(y, F.conv2d(x, weight, padding=1, groups=6))
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_the_gradient_may_come_in_any_memory_format(device: torch.device) -> None:
    leaves = {name: x.requires_grad_() for name, x in inputs(2, 4, 3, 5, 3, device, torch.float32).items()}
    weights = torch.randn(2, 3, 5, 4, device=device).permute(0, 3, 1, 2).contiguous()
    ours, theirs = (
        torch.autograd.grad((f(**leaves) * weights).sum(), list(leaves.values()))
        for f in (fused, depthwise_conv_reference)
    )
    for first, second in zip(ours, theirs, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("batch", "height"), [(0, 3), (2, 0)])
def test_an_empty_batch_or_map_gives_an_empty_result(batch: int, height: int, device: torch.device) -> None:
    given = inputs(batch, 4, height, 5, 3, device, torch.float32)
    leaves = {name: x.requires_grad_() for name, x in given.items()}
    y = fused(**leaves)
    y.sum().backward()
    assert y.shape == (batch, 4, height, 5)
    assert leaves["weight"].grad is not None
    assert not leaves["weight"].grad.any()


def test_the_same_input_gives_the_same_bits(device: torch.device) -> None:
    given = inputs(2, 20, 5, 6, 3, device, torch.float32)

    def run() -> list[Tensor]:
        leaves = {name: x.detach().requires_grad_() for name, x in given.items()}
        y = fused(**leaves)
        return [y, *torch.autograd.grad(y.square().sum(), list(leaves.values()))]

    for first, second in zip(run(), run(), strict=True):
        assert torch.equal(first, second)


def test_tiles_change_nothing_but_speed(device: torch.device) -> None:
    from modernet.kernels.depthwise_conv.triton_kernel import (
        Tile,
        depthwise_conv_forward,
        depthwise_conv_weight_gradient,
    )

    given = inputs(1, 20, 5, 18, 5, device, torch.float32)
    x, weight, bias = given["x"], given["weight"], given["bias"]
    tile = Tile(rows=2, columns=8, channels=16, band=2, num_warps=4)
    with poisoned():
        y = depthwise_conv_forward(x, weight, bias, tile)
        # nine tiles in four shares, the last of none; kernel columns in two blocks
        dweight, dbias = depthwise_conv_weight_gradient(x, x, 5, tile, programs=48)
    torch.testing.assert_close(y, depthwise_conv_reference(x, weight, bias))
    expected, expected_bias = depthwise_conv_weight_gradient(x, x, 5)
    torch.testing.assert_close(dweight, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dbias, expected_bias, rtol=1e-4, atol=1e-4)


def test_autocast_computes_in_its_type(device: torch.device) -> None:
    leaves = {name: x.requires_grad_() for name, x in inputs(1, 8, 5, 4, 3, device, torch.float32).items()}
    with torch.autocast(device.type, torch.bfloat16):
        y = fused(**leaves)
        expected = F.conv2d(leaves["x"], leaves["weight"], leaves["bias"], padding=1, groups=8)
    assert y.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(y, expected)
    y.float().sum().backward()
    assert all(x.grad is not None and x.grad.dtype == torch.float32 for x in leaves.values())


def test_checkpointed_gradients_are_the_same(device: torch.device) -> None:
    from torch.utils.checkpoint import checkpoint

    leaves = [x.requires_grad_() for x in inputs(1, 8, 5, 4, 3, device, torch.float32).values()]
    plain = torch.autograd.grad(fused(*leaves).square().sum(), leaves)
    again = torch.autograd.grad(checkpoint(fused, *leaves, use_reentrant=False).square().sum(), leaves)
    for first, second in zip(plain, again, strict=True):
        assert torch.equal(first, second)


# torch's own tracing looks at .grad of tensors that have none
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("bias", [True, False])
def test_the_operators_keep_the_rules_of_torch_library(bias: bool, device: torch.device) -> None:
    given = inputs(1, 4, 3, 2, 3, device, torch.float32)
    leaves = [x.requires_grad_() if name != "bias" or bias else None for name, x in given.items()]
    torch.library.opcheck(torch.ops.modernet.depthwise_conv.default, tuple(leaves))
    x = leaves[0].detach()
    torch.library.opcheck(torch.ops.modernet.depthwise_conv_weight_gradient.default, (x, x, 3))


def test_it_compiles_without_a_break_for_any_size(device: torch.device) -> None:
    @torch.compile(fullgraph=True, dynamic=True, backend="aot_eager")
    def step(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return fused(x * 2, weight, bias).square()

    for width in (4, 6):
        leaves = [x.requires_grad_() for x in inputs(2, 8, 3, width, 3, device, torch.float32).values()]
        gradients = torch.autograd.grad(step(*leaves).sum(), leaves)
        x, *parameters = leaves
        expected = torch.autograd.grad(fused(x * 2, *parameters).square().sum(), leaves)
        for ours, theirs in zip(gradients, expected, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_exported_networks_hold_the_reference(device: torch.device) -> None:
    class Network(torch.nn.Module):
        def forward(self, x: Tensor, weight: Tensor) -> Tensor:
            return fused(x, weight)

    given = inputs(1, 4, 3, 2, 3, device, torch.float32)
    exported = torch.export.export(Network(), (given["x"], given["weight"]))
    assert not [node for node in exported.graph.nodes if "modernet" in str(node.target)]


def test_a_second_derivative_is_refused(device: torch.device) -> None:
    leaves = [x.requires_grad_() for x in inputs(1, 4, 3, 2, 3, device, torch.float32).values()]
    first = torch.autograd.grad(fused(*leaves).square().sum(), leaves, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        first[1].square().sum().backward()
