"""The Triton kernels of LayerNorm against float64, in both layouts."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import ModuleType

import pytest
import torch
from torch import Tensor

from kernels.agreement import assert_as_accurate_as_pytorch
from modernet.kernels import layer_norm
from modernet.kernels.layer_norm import layer_norm_reference

pytestmark = pytest.mark.kernel

LAYOUTS = ["contiguous", "channels-last", "rows"]


def operands(
    layout: str, device: torch.device, dtype: torch.dtype, b: int, c: int, h: int, w: int
) -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(c)
    x = torch.randn((b, c, h, w), generator=chance) * 2 + 3
    x = x.permute(0, 2, 3, 1).contiguous() if layout == "rows" else x
    x = x.contiguous(memory_format=torch.channels_last) if layout == "channels-last" else x
    weight, bias = torch.randn((2, c), generator=chance)
    return {name: t.to(device, dtype) for name, t in {"x": x, "weight": weight, "bias": bias}.items()}


def triton_kernel() -> ModuleType:
    """Import the kernels; test collection must not need Triton."""
    return import_module("modernet.kernels.layer_norm.triton_kernel")


def forms(layout: str) -> tuple[partial[Tensor], partial[Tensor]]:
    channels_dim = -1 if layout == "rows" else 1
    return (
        partial(layer_norm, eps=1e-6, channels_dim=channels_dim, backend="triton"),
        partial(layer_norm_reference, eps=1e-6, channels_dim=channels_dim),
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 24, 1, 1), (3, 40, 7, 5), (2, 96, 3, 3), (2, 3, 9, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernel_is_as_accurate_as_pytorch(
    layout: str, shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device
) -> None:
    assert_as_accurate_as_pytorch(*forms(layout), operands(layout, device, dtype, *shape))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_empty_batch_gives_an_empty_result(layout: str, device: torch.device) -> None:
    assert_as_accurate_as_pytorch(*forms(layout), operands(layout, device, torch.float32, 0, 8, 3, 5))


def test_a_large_mean_costs_no_precision(device: torch.device) -> None:
    inputs = operands("channels-last", device, torch.float32, 2, 24, 3, 3)
    inputs["x"] += 1000
    assert_as_accurate_as_pytorch(*forms("channels-last"), inputs)


def test_programs_with_several_tiles_process_all_of_them(device: torch.device) -> None:
    kernels = triton_kernel()
    for layout in ("contiguous", "channels-last"):
        x, weight, bias = operands(layout, device, torch.float32, 3, 8, 7, 5).values()
        blocks = kernels.Blocks(positions=4, num_warps=1, num_programs=5)
        y, mean, rstd = kernels.forward(x, weight, bias, 1e-6, 1, x.dtype, blocks)
        torch.testing.assert_close(y, layer_norm_reference(x, weight, bias, 1e-6, 1))
        ours = kernels.backward(y, x, weight, mean, rstd, 1, blocks)
        leaves = [t.detach().requires_grad_() for t in (x, weight, bias)]
        layer_norm_reference(*leaves, 1e-6, 1).backward(y)
        for actual, leaf in zip(ours, leaves, strict=True):
            torch.testing.assert_close(actual, leaf.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", ["contiguous", "channels-last"])
def test_a_map_keeps_its_memory_format(layout: str, device: torch.device) -> None:
    inputs = operands(layout, device, torch.float32, 2, 8, 3, 5)
    assert forms(layout)[0](**inputs).stride() == inputs["x"].stride()


def test_a_non_contiguous_map_and_a_gradient_in_another_layout_work(device: torch.device) -> None:
    x, weight, bias = operands("contiguous", device, torch.float32, 2, 8, 6, 5).values()
    x = x[:, :, ::2].requires_grad_()
    y = layer_norm(x, weight, bias, channels_dim=1, backend="triton")
    expected = layer_norm_reference(x, weight, bias, 1e-6, 1)
    torch.testing.assert_close(y, expected)
    weights = torch.randn(y.shape, device=device).contiguous(memory_format=torch.channels_last)
    (ours,), (plain,) = torch.autograd.grad(y, x, weights), torch.autograd.grad(expected, x, weights)
    torch.testing.assert_close(ours, plain)


def test_autocast_returns_the_same_dtype_as_pytorch(device: torch.device) -> None:
    inputs = operands("channels-last", device, torch.float32, 1, 8, 3, 3)
    inputs["x"] = inputs["x"].bfloat16()
    kernel, reference = forms("channels-last")
    with torch.autocast(device.type, dtype=torch.bfloat16):
        ours, plain = kernel(**inputs), reference(**inputs)
    assert ours.dtype == plain.dtype
    torch.testing.assert_close(ours, plain)


def test_a_float32_result_of_a_half_precision_input_is_not_rounded(device: torch.device) -> None:
    x, weight, bias = operands("contiguous", device, torch.bfloat16, 2, 8, 3, 3).values()
    y, _, _ = triton_kernel().forward(x, weight, bias, 1e-6, 1, torch.float32)
    torch.testing.assert_close(y, layer_norm_reference(x.float(), weight.float(), bias.float(), 1e-6, 1))


def test_the_operator_passes_opcheck(device: torch.device) -> None:
    leaves = [t.requires_grad_() for t in operands("contiguous", device, torch.float32, 2, 8, 3, 3).values()]
    triton_kernel()
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")  # compilation is tested separately
    torch.library.opcheck(torch.ops.modernet.layer_norm.default, (*leaves, 1e-6, 1, torch.float32), test_utils=checks)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_forward_and_backward_compile(layout: str, device: torch.device) -> None:
    kernel, reference = forms(layout)
    compiled = torch.compile(kernel, fullgraph=True, dynamic=True, backend="aot_eager")
    assert_as_accurate_as_pytorch(compiled, reference, operands(layout, device, torch.float32, 2, 8, 3, 3))


def test_the_same_input_gives_the_same_bits(device: torch.device) -> None:
    kernel, _ = forms("contiguous")
    runs = []
    for _ in range(2):
        inputs = operands("contiguous", device, torch.float32, 2, 8, 5, 5)
        y = kernel(**{name: t.requires_grad_() for name, t in inputs.items()})
        runs.append(torch.autograd.grad(y.square().sum(), list(inputs.values())))
    for first, second in zip(*runs, strict=True):
        assert torch.equal(first, second)
