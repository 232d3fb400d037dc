"""The depthwise convolution's kernel, on a GPU or in Triton's interpreter."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.agreement import assert_as_accurate_as_pytorch, poisoned
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
        (1, 40, 9, 3, 3, torch.bfloat16),  # two blocks of channels, one partial; two strips of rows
        (1, 3, 3, 4, 5, torch.float32),
        (3, 3, 2, 23, 7, torch.float32),  # more columns than one program takes; kernel taller than the map
        (2, 24, 2, 3, 7, torch.bfloat16),
        (1, 3, 2, 3, 1, torch.float32),
        (1, 17, 1, 1, 7, torch.float32),  # a 1x1 map
        (1, 3, 4, 5, 9, torch.float32),
        (1, 3, 2, 3, 13, torch.float32),  # two bands of kernel rows
        (1, 2, 2, 1, 31, torch.float32),
    ],
)
def test_it_is_as_accurate_as_pytorch(
    batch: int, channels: int, height: int, width: int, size: int, dtype: torch.dtype, device: torch.device
) -> None:
    operands = inputs(batch, channels, height, width, size, device, dtype)
    assert_as_accurate_as_pytorch(fused, depthwise_conv_reference, dict(operands))


def test_rows_only_see_the_bands_of_a_large_kernel_that_overlap_the_map(device: torch.device) -> None:
    x, weight, _ = inputs(1, 2, 9, 1, 31, device, torch.float32).values()  # first and last rows see different bands
    with torch.no_grad():
        torch.testing.assert_close(fused(x, weight), depthwise_conv_reference(x, weight, None))


def test_it_is_as_accurate_as_pytorch_without_bias(device: torch.device) -> None:
    operands = inputs(1, 8, 5, 4, 3, device, torch.float32)
    assert_as_accurate_as_pytorch(fused, depthwise_conv_reference, {**operands, "bias": None})


def test_only_needed_gradients_are_computed(device: torch.device) -> None:
    operands = inputs(1, 8, 5, 4, 3, device, torch.float32)
    for name in operands:
        leaves = {key: x.requires_grad_() if key == name else x.detach() for key, x in operands.items()}
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


def test_the_gradient_may_have_any_memory_format(device: torch.device) -> None:
    leaves = {name: x.requires_grad_() for name, x in inputs(2, 4, 3, 5, 3, device, torch.float32).items()}
    weights = torch.randn(2, 3, 5, 4, device=device).permute(0, 3, 1, 2).contiguous()
    ours, reference = (
        torch.autograd.grad((f(**leaves) * weights).sum(), list(leaves.values()))
        for f in (fused, depthwise_conv_reference)
    )
    for first, second in zip(ours, reference, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("batch", "height"), [(0, 3), (2, 0)])
def test_an_empty_batch_or_map_gives_an_empty_result(batch: int, height: int, device: torch.device) -> None:
    operands = inputs(batch, 4, height, 5, 3, device, torch.float32)
    leaves = {name: x.requires_grad_() for name, x in operands.items()}
    y = fused(**leaves)
    y.sum().backward()
    assert y.shape == (batch, 4, height, 5)
    assert leaves["weight"].grad is not None
    assert not leaves["weight"].grad.any()


def test_the_same_input_gives_the_same_bits(device: torch.device) -> None:
    operands = inputs(2, 20, 5, 6, 3, device, torch.float32)

    def run() -> list[Tensor]:
        leaves = {name: x.detach().requires_grad_() for name, x in operands.items()}
        y = fused(**leaves)
        return [y, *torch.autograd.grad(y.square().sum(), list(leaves.values()))]

    for first, second in zip(run(), run(), strict=True):
        assert torch.equal(first, second)


def test_results_do_not_depend_on_the_tiles(device: torch.device) -> None:
    from modernet.kernels.depthwise_conv.triton_kernel import (
        Tile,
        depthwise_conv_forward,
        depthwise_conv_weight_gradient,
    )

    operands = inputs(1, 20, 5, 18, 5, device, torch.float32)
    x, weight, bias = operands["x"], operands["weight"], operands["bias"]
    tile = Tile(rows=2, columns=8, channels=16, band=2, num_warps=4)
    with poisoned():
        y = depthwise_conv_forward(x, weight, bias, tile)
        # nine tiles in four slices, the last empty; two blocks of kernel columns
        dweight, dbias = depthwise_conv_weight_gradient(x, x, 5, tile, programs=48)
    torch.testing.assert_close(y, depthwise_conv_reference(x, weight, bias))
    expected, expected_bias = depthwise_conv_weight_gradient(x, x, 5)
    torch.testing.assert_close(dweight, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dbias, expected_bias, rtol=1e-4, atol=1e-4)


def test_autocast_computes_in_its_dtype(device: torch.device) -> None:
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


# torch's own tracing reads .grad of non-leaf tensors
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("bias", [True, False])
def test_the_operators_pass_opcheck(bias: bool, device: torch.device) -> None:
    operands = inputs(1, 4, 3, 2, 3, device, torch.float32)
    leaves = [x.requires_grad_() if name != "bias" or bias else None for name, x in operands.items()]
    torch.library.opcheck(torch.ops.modernet.depthwise_conv.default, tuple(leaves))
    x = leaves[0].detach()
    torch.library.opcheck(torch.ops.modernet.depthwise_conv_weight_gradient.default, (x, x, 3))


def test_it_compiles_without_graph_breaks_for_any_size(device: torch.device) -> None:
    @torch.compile(fullgraph=True, dynamic=True, backend="aot_eager")
    def step(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return fused(x * 2, weight, bias).square()

    for width in (4, 6):
        leaves = [x.requires_grad_() for x in inputs(2, 8, 3, width, 3, device, torch.float32).values()]
        gradients = torch.autograd.grad(step(*leaves).sum(), leaves)
        x, *parameters = leaves
        expected = torch.autograd.grad(fused(x * 2, *parameters).square().sum(), leaves)
        for ours, reference in zip(gradients, expected, strict=True):
            torch.testing.assert_close(ours, reference)


def test_exported_networks_use_the_reference(device: torch.device) -> None:
    class Network(torch.nn.Module):
        def forward(self, x: Tensor, weight: Tensor) -> Tensor:
            return fused(x, weight)

    operands = inputs(1, 4, 3, 2, 3, device, torch.float32)
    exported = torch.export.export(Network(), (operands["x"], operands["weight"]))
    assert not [node for node in exported.graph.nodes if "modernet" in str(node.target)]


def test_a_second_derivative_raises(device: torch.device) -> None:
    leaves = [x.requires_grad_() for x in inputs(1, 4, 3, 2, 3, device, torch.float32).values()]
    first = torch.autograd.grad(fused(*leaves).square().sum(), leaves, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        first[1].square().sum().backward()
