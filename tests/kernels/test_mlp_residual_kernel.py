"""Both Triton implementations of the second half of a ConvNeXt block against float64."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from kernels.agreement import assert_as_accurate_as_pytorch
from modernet.kernels import mlp_residual
from modernet.kernels.mlp_residual import mlp_residual_reference

pytestmark = pytest.mark.kernel

FORMS = ["on chip", "products"]
Shape = tuple[int, int, int, int, int]
"""Samples, channels, height, width, hidden channels."""
SMALL: Shape = (2, 24, 3, 5, 40)

kernel = partial(mlp_residual, backend="triton")


def module(name: str) -> ModuleType:
    """Import the kernels; test collection must not need Triton."""
    return import_module(f"modernet.kernels.mlp_residual.{name}")


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run few channels with both implementations, so that the one for many channels is tested quickly."""
    monkeypatch.setattr(module("on_chip"), "MAX_CHANNELS", 256 if request.param == "on chip" else 0)
    return str(request.param)


def operands(
    device: torch.device, dtype: torch.dtype, shape: Shape = SMALL, gamma: float | None = 1.0
) -> dict[str, Tensor | None]:
    """Return weights as large as in a trained network, so that every term of the result matters."""
    b, c, h, w, hidden = shape
    chance = torch.Generator().manual_seed(c)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=chance).to(device, dtype)

    return {
        "x": normal(b, h, w, c),
        "shortcut": normal(b, c, h, w),
        "weight1": normal(hidden, c) / c**0.5,
        "bias1": normal(hidden),
        "weight2": normal(c, hidden) / hidden**0.5,
        "bias2": normal(c),
        "gamma": None if gamma is None else gamma * normal(c),
    }


def assert_agrees(inputs: dict[str, Tensor | None], sample_scale: Tensor | None = None) -> None:
    assert_as_accurate_as_pytorch(
        partial(kernel, sample_scale=sample_scale), partial(mlp_residual_reference, sample_scale=sample_scale), inputs
    )


@pytest.mark.parametrize("shape", [(1, 24, 1, 1, 96), (3, 40, 7, 5, 33), (2, 96, 3, 3, 70), (1, 16, 3, 3, 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.usefixtures("form")
def test_the_kernels_are_as_accurate_as_pytorch(shape: Shape, dtype: torch.dtype, device: torch.device) -> None:
    assert_agrees(operands(device, dtype, shape))


@pytest.mark.usefixtures("form")
def test_an_empty_batch_gives_an_empty_result(device: torch.device) -> None:
    assert_agrees(operands(device, torch.float32, (0, 24, 3, 5, 40)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("gamma", [None, 0.0, 1e-6])
@pytest.mark.usefixtures("form")
def test_layer_scale_may_be_absent_zero_or_tiny(gamma: float | None, dtype: torch.dtype, device: torch.device) -> None:
    assert_agrees(operands(device, dtype, gamma=gamma))


@pytest.mark.parametrize("gamma", [None, 0.5])
@pytest.mark.usefixtures("form")
def test_each_sample_has_its_own_scale(gamma: float | None, device: torch.device) -> None:
    inputs = operands(device, torch.float32, (3, 24, 3, 5, 40), gamma)
    assert_agrees(inputs, torch.tensor([0.0, 1.25, 0.5], device=device))


@pytest.mark.usefixtures("form")
def test_the_shortcut_may_have_any_memory_format(device: torch.device) -> None:
    inputs = operands(device, torch.float32)
    plain = mlp_residual_reference(**inputs)
    shortcut = inputs.pop("shortcut")
    wide = torch.zeros(2, 24, 6, 9, device=device)
    wide[:, :, ::2, 2:7] = shortcut
    for same in (shortcut.contiguous(memory_format=torch.channels_last), shortcut.contiguous(), wide[:, :, ::2, 2:7]):
        y = kernel(shortcut=same, **inputs)
        assert y.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(y, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("form")
def test_the_gradient_may_have_any_memory_format(device: torch.device) -> None:
    inputs = {name: t.requires_grad_() for name, t in operands(device, torch.float32).items()}
    weights = torch.randn(2, 24, 5, 3, device=device).transpose(2, 3)
    ours = torch.autograd.grad(kernel(**inputs), list(inputs.values()), weights)
    plain = torch.autograd.grad(mlp_residual_reference(**inputs), list(inputs.values()), weights)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


def test_programs_with_several_tiles_process_all_of_them(device: torch.device) -> None:
    on_chip = module("on_chip")
    inputs = operands(device, torch.float32, (3, 24, 7, 5, 40), gamma=None)
    x, _, w1, b1, w2, _, _ = inputs.values()
    grad = torch.randn(x.shape, device=device)
    blocks = on_chip.Blocks(rows=16, hidden=16, num_warps=1, num_stages=1, num_programs=7)  # 2 slices of 4 and 3 tiles
    grad_w1, grad_b1, product = on_chip.weight_gradients(grad, x, w1, b1, w2, None, None, blocks)
    h = torch.nn.functional.gelu(x.flatten(0, 2) @ w1.t() + b1)
    torch.testing.assert_close(product, h.t() @ grad.flatten(0, 2), rtol=1e-4, atol=1e-4)
    leaves = [t.requires_grad_() for t in (w1, b1)]
    plain = torch.autograd.grad(mlp_residual_reference(**inputs), leaves, grad.permute(0, 3, 1, 2))
    torch.testing.assert_close((grad_w1, grad_b1), plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("channels", "parts"), [(96, (64, 32)), (192, (128, 64)), (256, (256, 0)), (3, (16, 0))])
def test_channels_are_split_into_powers_of_two(channels: int, parts: tuple[int, int]) -> None:
    assert module("on_chip").split_channels(channels) == parts


def test_the_split_covers_every_number_of_channels() -> None:
    for channels in range(1, 257):
        main, rest = module("on_chip").split_channels(channels)
        assert main + rest >= channels
        assert rest == 0 or main < channels


@pytest.mark.usefixtures("form")
def test_autocast_returns_the_same_dtype_as_a_block(device: torch.device) -> None:
    inputs = {name: t.requires_grad_() for name, t in operands(device, torch.float32).items()}
    results = []
    for operation in (kernel, mlp_residual_reference):
        with torch.autocast(device.type, dtype=torch.bfloat16):
            y = operation(**inputs)
        results.append((y, *torch.autograd.grad(y.square().sum(), list(inputs.values()))))
    for ours, plain in zip(*results, strict=True):
        assert ours.dtype == plain.dtype == torch.float32
        torch.testing.assert_close(ours, plain, rtol=0.05, atol=0.05 * float(plain.detach().abs().max()))


def test_the_operator_passes_opcheck(form: str, device: torch.device) -> None:
    module("triton_kernel")
    leaves = [t.requires_grad_() for t in operands(device, torch.float32).values()]
    scale = torch.tensor([0.0, 1.25], device=device)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")  # compilation is tested separately
    torch.library.opcheck(
        torch.ops.modernet.mlp_residual.default, (*leaves, scale, form == "products"), test_utils=checks
    )


@pytest.mark.usefixtures("form")
def test_forward_and_backward_compile(device: torch.device) -> None:
    torch.compiler.reset()  # the implementation is chosen while tracing
    compiled = torch.compile(kernel, fullgraph=True, dynamic=True, backend="aot_eager")
    assert_as_accurate_as_pytorch(compiled, mlp_residual_reference, operands(device, torch.float32))


@pytest.mark.usefixtures("form")
def test_checkpointing_does_not_change_gradients(device: torch.device) -> None:
    inputs = [t.requires_grad_() for t in operands(device, torch.float32).values()]
    plain = torch.autograd.grad(kernel(*inputs).square().sum(), inputs)
    checkpointed = torch.autograd.grad(checkpoint(kernel, *inputs, use_reentrant=False).square().sum(), inputs)
    assert all(torch.equal(a, b) for a, b in zip(plain, checkpointed, strict=True))


def test_weights_of_another_dtype_raise(device: torch.device) -> None:
    inputs = operands(device, torch.float32)
    inputs["x"] = inputs["x"].bfloat16()
    with pytest.raises(ValueError, match=r"x is torch.bfloat16 and weight1 torch.float32; give all weights the dtype"):
        kernel(**inputs)
