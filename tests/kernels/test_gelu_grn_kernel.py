"""The Triton kernels of GELU and global response normalisation against float64."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import ModuleType

import pytest
import torch
from torch import Tensor

from kernels.agreement import assert_as_accurate_as_pytorch
from modernet.kernels import gelu_grn
from modernet.kernels.gelu_grn import gelu_grn_reference

pytestmark = pytest.mark.kernel

kernel = partial(gelu_grn, eps=1e-6, backend="triton")
reference = partial(gelu_grn_reference, eps=1e-6)


def triton_kernel() -> ModuleType:
    """Import the kernels; test collection must not need Triton."""
    return import_module("modernet.kernels.gelu_grn.triton_kernel")


def operands(device: torch.device, dtype: torch.dtype, b: int, c: int, h: int, w: int) -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(c)
    x = 2 * torch.randn((b, h, w, c), generator=chance)
    gamma, beta = torch.randn((2, 1, 1, 1, c), generator=chance)
    return {name: t.to(device, dtype) for name, t in {"x": x, "gamma": gamma, "beta": beta}.items()}


@pytest.mark.parametrize("shape", [(1, 24, 1, 1), (3, 160, 7, 5), (2, 12, 3, 3), (1, 129, 3, 11)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernels_are_as_accurate_as_pytorch(
    shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device
) -> None:
    assert_as_accurate_as_pytorch(kernel, reference, operands(device, dtype, *shape))


def test_an_empty_batch_gives_an_empty_result(device: torch.device) -> None:
    assert_as_accurate_as_pytorch(kernel, reference, operands(device, torch.float32, 0, 12, 3, 5))


def test_gamma_zero_still_gets_a_gradient(device: torch.device) -> None:
    inputs = operands(device, torch.float32, 2, 12, 5, 3)
    inputs["gamma"].zero_()
    assert_as_accurate_as_pytorch(kernel, reference, inputs)


def test_an_all_zero_channel_has_a_finite_gradient(device: torch.device) -> None:
    inputs = operands(device, torch.float32, 2, 12, 5, 3)
    inputs["x"][0, :, :, 4] = 0
    inputs["x"][1] = 0
    assert_as_accurate_as_pytorch(kernel, reference, inputs)


def test_programs_with_several_tiles_process_all_of_them(device: torch.device) -> None:
    kernels = triton_kernel()
    blocks = kernels.Blocks(positions=4, channels=8, tiles=3, num_warps=1)
    x, gamma, beta = inputs = list(operands(device, torch.float32, 2, 12, 7, 5).values())
    y, energy = kernels.forward(x, gamma, beta, 1e-6, blocks)
    torch.testing.assert_close(y, gelu_grn_reference(x, gamma, beta, 1e-6))
    leaves = [t.requires_grad_() for t in inputs]
    plain = torch.autograd.grad(gelu_grn_reference(*leaves, 1e-6), leaves, y)
    ours = kernels.backward(y, x.detach(), gamma.detach(), energy, 1e-6, blocks)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


def test_dtypes_are_promoted_as_in_pytorch(device: torch.device) -> None:
    x, gamma, beta = operands(device, torch.float32, 1, 12, 3, 3).values()
    x = x.bfloat16().requires_grad_()
    for parameters in ((gamma, beta), (gamma.bfloat16(), beta.bfloat16())):
        ours, plain = kernel(x, *parameters), reference(x, *parameters)
        assert ours.dtype == plain.dtype
        assert torch.autograd.grad(ours.sum(), x)[0].dtype == torch.bfloat16
        torch.testing.assert_close(ours, plain, rtol=0.05, atol=0.05)


def test_the_operator_passes_opcheck(device: torch.device) -> None:
    leaves = [t.requires_grad_() for t in operands(device, torch.float32, 2, 12, 3, 3).values()]
    triton_kernel()
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")  # compilation is tested separately
    torch.library.opcheck(torch.ops.modernet.gelu_grn.default, (*leaves, 1e-6), test_utils=checks)


def test_forward_and_backward_compile(device: torch.device) -> None:
    compiled = torch.compile(kernel, fullgraph=True, dynamic=True, backend="aot_eager")
    assert_as_accurate_as_pytorch(compiled, reference, operands(device, torch.float32, 2, 12, 5, 3))


def test_the_same_input_gives_the_same_bits(device: torch.device) -> None:
    runs = []
    for _ in range(2):
        inputs = [t.requires_grad_() for t in operands(device, torch.float32, 2, 12, 7, 5).values()]
        runs.append(torch.autograd.grad(kernel(*inputs).square().sum(), inputs))
    for first, second in zip(*runs, strict=True):
        assert torch.equal(first, second)
