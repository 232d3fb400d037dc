"""The contract of the depthwise operations without their kernels."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from modernet.errors import InputError
from modernet.kernels import depthwise_conv, depthwise_layer_norm


@pytest.fixture
def operands() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {"x": torch.randn(2, 6, 5, 4), "weight": torch.randn(6, 1, 3, 3), "bias": torch.randn(6)}


@pytest.fixture
def norm() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {"norm_weight": torch.randn(6), "norm_bias": torch.randn(6)}


@pytest.mark.parametrize("size", [1, 3, 7, 31])
def test_the_convolution_equals_pytorchs_on_a_cpu(size: int) -> None:
    conv = nn.Conv2d(6, 6, size, padding=size // 2, groups=6)
    x = torch.randn(2, 6, 5, 4)
    y = depthwise_conv(x, conv.weight, conv.bias)
    torch.testing.assert_close(y, conv(x))
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_the_norm_equals_pytorchs_on_a_cpu(operands: dict[str, Tensor], norm: dict[str, Tensor]) -> None:
    y = depthwise_layer_norm(**operands, **norm, eps=1e-3)
    maps = F.conv2d(operands["x"], operands["weight"], operands["bias"], padding=1, groups=6).permute(0, 2, 3, 1)
    torch.testing.assert_close(y, F.layer_norm(maps, (6,), norm["norm_weight"], norm["norm_bias"], 1e-3))
    assert y.is_contiguous()


@pytest.mark.parametrize("backend", ["auto", "reference", "triton"])
def test_float64_uses_plain_pytorch(backend: str, operands: dict[str, Tensor], norm: dict[str, Tensor]) -> None:
    operands, norm = ({name: x.double() for name, x in part.items()} for part in (operands, norm))
    assert depthwise_conv(**operands, backend=backend).dtype == torch.float64  # type: ignore[arg-type]
    with torch.autocast("cpu", torch.bfloat16):
        y = depthwise_layer_norm(**operands, **norm, backend=backend)  # type: ignore[arg-type]
    assert y.dtype == torch.float64


def test_autocast_computes_in_its_dtype_and_parameters_keep_theirs(
    operands: dict[str, Tensor], norm: dict[str, Tensor]
) -> None:
    leaves = {name: x.requires_grad_() for name, x in {**operands, **norm}.items()}
    with torch.autocast("cpu", torch.bfloat16):
        y = depthwise_layer_norm(**leaves)
        assert depthwise_conv(*(leaves[name] for name in operands)).dtype == torch.bfloat16
    assert y.dtype == torch.bfloat16
    y.float().square().sum().backward()
    assert {x.grad.dtype for x in leaves.values() if x.grad is not None} == {torch.float32}


def test_flops_are_counted(operands: dict[str, Tensor]) -> None:
    with FlopCounterMode(display=False) as counted:
        depthwise_conv(**operands)
    assert counted.get_total_flops() == 2 * 9 * operands["x"].numel()


@pytest.mark.medium
@pytest.mark.parametrize("operation", [depthwise_conv, depthwise_layer_norm])
def test_it_compiles_without_graph_breaks_for_any_size(
    operation: object, operands: dict[str, Tensor], norm: dict[str, Tensor]
) -> None:
    inputs = [*operands.values(), *(norm.values() if operation is depthwise_layer_norm else ())]
    compiled = torch.compile(operation, fullgraph=True, dynamic=True, backend="aot_eager")
    for height in (5, 7):
        inputs[0] = torch.randn(2, 6, height, 4, requires_grad=True)
        torch.testing.assert_close(compiled(*inputs), operation(*inputs))


def test_it_exports_as_plain_pytorch(operands: dict[str, Tensor], norm: dict[str, Tensor]) -> None:
    class Network(nn.Module):
        def forward(self, *inputs: Tensor) -> Tensor:
            return depthwise_layer_norm(*inputs, backend="auto")

    inputs = (*operands.values(), *norm.values())
    exported = torch.export.export(Network(), inputs)
    torch.testing.assert_close(exported.module()(*inputs), depthwise_layer_norm(*inputs))
    assert not [node for node in exported.graph.nodes if "modernet" in str(node.target)]


@pytest.mark.medium
def test_they_work_without_triton() -> None:
    code = """
import sys
sys.modules["triton"] = None  # importing it fails, as on macOS and Windows
import torch
from modernet.kernels import depthwise_layer_norm
channel = torch.ones(2)
depthwise_layer_norm(torch.ones(1, 2, 3, 3), torch.ones(2, 1, 3, 3), channel, channel, channel)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(6, 5, 4)}, r"x has shape \(6, 5, 4\); give a map \(b, c, h, w\)"),
        ({"x": torch.zeros(2, 6, 5, 4, dtype=torch.uint8)}, r"x is torch.uint8; give .* x.float\(\)"),
        ({"weight": torch.zeros(6, 1, 4, 4)}, r"weight has shape \(6, 1, 4, 4\).* give \(6, 1, k, k\) with k odd"),
        ({"weight": torch.zeros(6, 1, 3, 5)}, r"weight has shape \(6, 1, 3, 5\)"),
        ({"weight": torch.zeros(6, 6, 3, 3)}, r"weight has shape \(6, 6, 3, 3\)"),
        ({"weight": torch.zeros(8, 1, 3, 3)}, r"x has 6 channels, so give \(6, 1, k, k\)"),
        ({"weight": torch.zeros(3)}, r"weight has shape \(3,\)"),
        ({"bias": torch.zeros(8)}, r"bias has shape \(8,\); x has 6 channels, so give \(6,\) or None"),
        ({"weight": torch.zeros(6, 1, 3, 3).bfloat16()}, "x is torch.float32 and the parameters are torch.bfloat16"),
        ({"bias": torch.zeros(6).half()}, "torch.float32 and torch.float16; give one dtype, or use torch.autocast"),
        ({"norm_weight": torch.zeros(8)}, r"norm_weight and norm_bias have shapes \(8,\) and \(6,\); x has 6 channels"),
        ({"norm_bias": torch.zeros(6, 1)}, r"so give \(6,\) for both"),
        ({"norm_bias": torch.zeros(6).half()}, "x is torch.float32, norm_weight torch.float32 and norm_bias torch.flo"),
    ],
)
def test_incompatible_arguments_raise(
    change: dict[str, Tensor], message: str, operands: dict[str, Tensor], norm: dict[str, Tensor]
) -> None:
    if not set(change) & set(norm):
        with pytest.raises(InputError, match=message):
            depthwise_conv(**{**operands, **change})
    with pytest.raises(InputError, match=message):
        depthwise_layer_norm(**{**operands, **norm, **change})
