"""The kernel of the depthwise convolution with its LayerNorm, on a GPU or in Triton's interpreter."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from kernels.agreement import assert_as_accurate_as_pytorch, poisoned
from modernet.kernels.depthwise_layer_norm import depthwise_layer_norm, depthwise_layer_norm_reference

pytestmark = pytest.mark.kernel

fused = partial(depthwise_layer_norm, eps=1e-6, backend="triton")
plain = partial(depthwise_layer_norm_reference, eps=1e-6)


def inputs(
    batch: int, channels: int, height: int, width: int, size: int, device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    torch.manual_seed(0)
    shapes = {
        "x": (batch, channels, height, width), "weight": (channels, 1, size, size), "bias": (channels,),
        "norm_weight": (channels,), "norm_bias": (channels,),
    }  # fmt: skip
    return {name: torch.randn(shape).to(device, dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("batch", "channels", "height", "width", "size", "dtype"),
    [
        (2, 24, 5, 7, 3, torch.float32),
        (1, 40, 9, 3, 3, torch.bfloat16),  # three blocks of channels, one partial; several strips of rows
        (1, 3, 3, 4, 5, torch.float32),
        (1, 96, 2, 3, 7, torch.bfloat16),
        (1, 17, 1, 1, 7, torch.float32),  # a 1x1 map
        (1, 3, 2, 70, 3, torch.float32),  # more columns than one program takes
        (1, 3, 4, 5, 9, torch.float32),  # two bands of kernel rows
        (1, 3, 2, 1, 31, torch.float32),
    ],
)
def test_it_is_as_accurate_as_pytorch(
    batch: int, channels: int, height: int, width: int, size: int, dtype: torch.dtype, device: torch.device
) -> None:
    operands = inputs(batch, channels, height, width, size, device, dtype)
    assert_as_accurate_as_pytorch(fused, plain, dict(operands))
    with torch.no_grad(), poisoned():
        inferred = fused(**operands)
    assert torch.equal(inferred, fused(**{name: x.requires_grad_() for name, x in operands.items()}))


def test_it_is_as_accurate_as_pytorch_without_bias(device: torch.device) -> None:
    assert_as_accurate_as_pytorch(fused, plain, {**inputs(1, 8, 3, 4, 3, device, torch.float32), "bias": None})


def test_a_large_mean_costs_no_precision(device: torch.device) -> None:
    operands = inputs(1, 24, 3, 2, 3, device, torch.float32)
    operands["bias"] = operands["bias"] + 1000
    assert_as_accurate_as_pytorch(fused, plain, dict(operands))


@pytest.mark.parametrize("layout", ["contiguous", "channels last", "slice"])
def test_any_memory_format_gives_contiguous_channels(layout: str, device: torch.device) -> None:
    operands = inputs(2, 6, 3, 4, 3, device, torch.float32)
    if layout == "slice":
        operands["x"] = torch.randn(2, 12, 3, 8, device=device)[:, ::2, :, 1:5]
    elif layout == "channels last":
        operands["x"] = operands["x"].contiguous(memory_format=torch.channels_last)
    y = fused(**operands)
    assert y.shape == (2, 3, 4, 6)
    assert y.is_contiguous()
    torch.testing.assert_close(y, plain(**operands))


def test_the_gradient_may_have_any_memory_format(device: torch.device) -> None:
    leaves = {name: x.requires_grad_() for name, x in inputs(2, 4, 3, 5, 3, device, torch.float32).items()}
    weights = torch.randn(2, 4, 3, 5, device=device)
    ours, reference = (
        torch.autograd.grad((f(**leaves).permute(0, 3, 1, 2) * weights).sum(), list(leaves.values()))
        for f in (fused, plain)
    )
    for first, second in zip(ours, reference, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("trained", ["x", "weight", "bias", "norm_weight", "norm_bias"])
def test_a_gradient_for_a_single_input(trained: str, device: torch.device) -> None:
    operands = inputs(1, 8, 3, 2, 3, device, torch.float32)
    leaf = operands[trained].requires_grad_()
    ours, reference = (torch.autograd.grad(f(**operands).square().sum(), leaf)[0] for f in (fused, plain))
    torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-4)


def test_an_empty_batch_gives_an_empty_result(device: torch.device) -> None:
    leaves = {name: x.requires_grad_() for name, x in inputs(0, 4, 3, 5, 3, device, torch.float32).items()}
    y = fused(**leaves)
    y.sum().backward()
    assert y.shape == (0, 3, 5, 4)
    for name in ("weight", "bias", "norm_weight", "norm_bias"):
        gradient = leaves[name].grad
        assert gradient is not None
        assert not gradient.any()


def test_the_same_input_gives_the_same_bits(device: torch.device) -> None:
    leaves = {name: x.requires_grad_() for name, x in inputs(2, 20, 5, 6, 3, device, torch.float32).items()}

    def run() -> list[Tensor]:
        y = fused(**leaves)
        return [y, *torch.autograd.grad(y.square().sum(), list(leaves.values()))]

    for first, second in zip(run(), run(), strict=True):
        assert torch.equal(first, second)


def test_results_do_not_depend_on_the_tiles(device: torch.device) -> None:
    from modernet.kernels.depthwise_layer_norm.triton_kernel import (
        GradientTile,
        NormTile,
        depthwise_layer_norm_forward,
        norm_gradient,
    )

    operands = inputs(1, 40, 5, 9, 3, device, torch.float32)
    tile = NormTile(rows=2, columns=8, channels=16, blocks=3, band=2, num_warps=4)
    with poisoned():
        y, convolution = depthwise_layer_norm_forward(*operands.values(), 1e-6, keep_convolution=True, tile=tile)
        assert convolution is not None
        # six tiles in four slices, the last empty
        tile_of_gradient = GradientTile(positions=8, channels=16, blocks=3, num_warps=4)
        ours = norm_gradient(convolution, convolution, operands["norm_weight"], 1e-6, tile=tile_of_gradient, programs=4)
    torch.testing.assert_close(y, plain(**operands))
    reference = norm_gradient(convolution, convolution, operands["norm_weight"], 1e-6)
    for first, second in zip(ours, reference, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_autocast_returns_the_dtype_of_the_next_linear_layer(device: torch.device) -> None:
    leaves = {name: x.requires_grad_() for name, x in inputs(1, 8, 3, 4, 3, device, torch.float32).items()}
    with torch.autocast(device.type, torch.bfloat16):
        y, expected = fused(**leaves), plain(**leaves)
    assert y.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(y, expected, rtol=0.02, atol=0.02)
    y.float().square().sum().backward()
    assert all(x.grad is not None and x.grad.dtype == torch.float32 for x in leaves.values())


def test_checkpointed_gradients_are_the_same(device: torch.device) -> None:
    from torch.utils.checkpoint import checkpoint

    leaves = [x.requires_grad_() for x in inputs(1, 8, 3, 4, 3, device, torch.float32).values()]
    once = torch.autograd.grad(fused(*leaves).square().sum(), leaves)
    again = torch.autograd.grad(checkpoint(fused, *leaves, use_reentrant=False).square().sum(), leaves)
    for first, second in zip(once, again, strict=True):
        assert torch.equal(first, second)


# torch's own tracing reads .grad of non-leaf tensors
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_the_operators_pass_opcheck(device: torch.device) -> None:
    leaves = [x.requires_grad_() for x in inputs(1, 4, 3, 2, 3, device, torch.float32).values()]
    y = fused(*leaves).detach()
    operators = torch.ops.modernet
    torch.library.opcheck(operators.depthwise_layer_norm_training.default, (*leaves, 1e-6))
    torch.library.opcheck(operators.depthwise_layer_norm.default, (*(x.detach() for x in leaves), 1e-6))
    torch.library.opcheck(operators.depthwise_layer_norm_gradient.default, (y, y, leaves[3].detach(), 1e-6))


def test_it_compiles_without_graph_breaks_for_any_size(device: torch.device) -> None:
    @torch.compile(fullgraph=True, dynamic=True, backend="aot_eager")
    def step(x: Tensor, *parameters: Tensor) -> Tensor:
        return fused(x * 2, *parameters).square()

    for width in (4, 6):
        x, *parameters = leaves = [
            x.requires_grad_() for x in inputs(2, 8, 3, width, 3, device, torch.float32).values()
        ]
        ours = torch.autograd.grad(step(*leaves).sum(), leaves)
        reference = torch.autograd.grad(fused(x * 2, *parameters).square().sum(), leaves)
        for first, second in zip(ours, reference, strict=True):
            torch.testing.assert_close(first, second)
        with torch.no_grad():
            torch.testing.assert_close(step(*leaves), fused(x * 2, *parameters).square())
