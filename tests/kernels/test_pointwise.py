"""The contract of the pointwise operations without kernels: the model's results, clear errors, export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from modernet.errors import InputError
from modernet.kernels import gelu_grn, layer_norm, mlp_residual
from modernet.layers import DropPath, LayerNorm2d
from modernet.models.convnext import GRN


def mlp_operands(b: int = 2, c: int = 6, h: int = 3, w: int = 5, hidden: int = 10) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {
        "x": torch.randn(b, h, w, c), "shortcut": torch.randn(b, c, h, w),
        "weight1": torch.randn(hidden, c), "bias1": torch.randn(hidden),
        "weight2": torch.randn(c, hidden), "bias2": torch.randn(c), "gamma": torch.randn(c),
    }  # fmt: skip


def mlp_block(operands: dict[str, Tensor]) -> Tensor:
    """The second half of `Block` in `models/convnext.py`."""
    expand = nn.Linear(6, 10)
    project = nn.Linear(10, 6)
    with torch.no_grad():
        for parameter, name in (
            (expand.weight, "weight1"), (expand.bias, "bias1"), (project.weight, "weight2"), (project.bias, "bias2"),
        ):  # fmt: skip
            parameter.copy_(operands[name])
    y = operands["gamma"] * project(nn.GELU()(expand(operands["x"])))
    return operands["shortcut"] + y.permute(0, 3, 1, 2)


def test_the_second_half_of_a_block_equals_the_models_bit_for_bit() -> None:
    operands = mlp_operands()
    assert torch.equal(mlp_residual(**operands), mlp_block(operands))


def test_the_second_half_of_a_block_equals_the_models_under_autocast() -> None:
    operands = mlp_operands()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, plain = mlp_residual(**operands), mlp_block(operands)
    assert ours.dtype == plain.dtype == torch.float32
    assert torch.equal(ours, plain)


def test_sample_scale_equals_drop_paths_factor() -> None:
    operands = mlp_operands(b=8)
    branch = mlp_residual(**operands) - operands["shortcut"]
    torch.manual_seed(3)
    dropped = DropPath(0.5).train()(branch)
    torch.manual_seed(3)
    scale = torch.empty(8).bernoulli_(0.5) / 0.5
    assert 0 < scale.sum() < 16
    torch.testing.assert_close(mlp_residual(**operands, sample_scale=scale), operands["shortcut"] + dropped)


def test_gelu_and_grn_equal_the_models_bit_for_bit() -> None:
    torch.manual_seed(0)
    x, grn = torch.randn(2, 3, 5, 8), GRN(8)
    nn.init.normal_(grn.gamma)
    nn.init.normal_(grn.beta)
    assert torch.equal(gelu_grn(x, grn.gamma, grn.beta), grn(nn.GELU()(x)))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_layer_norm_of_maps_equals_the_models_bit_for_bit(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    x, norm = torch.randn(2, 8, 3, 5).contiguous(memory_format=memory_format), LayerNorm2d(8)
    nn.init.normal_(norm.weight)
    assert torch.equal(layer_norm(x, norm.weight, norm.bias, channels_dim=1), norm(x))


def test_layer_norm_of_the_last_dimension_equals_pytorchs_bit_for_bit() -> None:
    torch.manual_seed(0)
    x, norm = torch.randn(2, 3, 8), nn.LayerNorm(8, eps=1e-6)
    assert torch.equal(layer_norm(x, norm.weight, norm.bias, channels_dim=-1), norm(x))


class Pointwise(nn.Module):
    """All three operations in sequence."""

    def forward(self, operands: dict[str, Tensor]) -> Tensor:
        y = mlp_residual(**operands)
        y = layer_norm(y, operands["gamma"], operands["bias2"], channels_dim=1)
        gamma = operands["gamma"].view(1, 1, 1, -1)
        return gelu_grn(y.permute(0, 2, 3, 1), gamma, gamma)


@pytest.mark.medium
def test_an_exported_network_has_no_custom_operators() -> None:
    operands = mlp_operands()
    program = torch.export.export(Pointwise(), (operands,))
    assert not [node for node in program.graph.nodes if "modernet" in str(node.target)]
    torch.testing.assert_close(program.module()(operands), Pointwise()(operands))


def test_multiply_accumulates_are_still_counted() -> None:
    with FlopCounterMode(display=False) as counted:
        mlp_residual(**mlp_operands())
    assert counted.get_total_flops() == 2 * 2 * (2 * 3 * 5) * 6 * 10


def test_float64_uses_plain_pytorch_for_every_backend() -> None:
    operands = {name: t.double() for name, t in mlp_operands().items()}
    assert torch.equal(mlp_residual(**operands, backend="triton"), mlp_residual(**operands))
    x, weight = operands["x"], operands["gamma"]
    assert layer_norm(x, weight, weight, channels_dim=-1, backend="triton").dtype == torch.float64
    grn = weight.view(1, 1, 1, -1)
    assert gelu_grn(x, grn, grn, backend="triton").dtype == torch.float64


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": torch.ones(2, 6)}, r"x has shape \(2, 6\); give channels-last maps \(b, h, w, c\)"),
        ({"shortcut": torch.ones(2, 3, 5, 6)}, r"shortcut has shape \(2, 3, 5, 6\).* need \(2, 6, 3, 5\)"),
        ({"weight1": torch.ones(10, 7)}, r"weight1 has shape \(10, 7\).* need \(10, 6\)"),
        ({"bias1": torch.ones(6)}, r"bias1 has shape \(6,\).* 10 hidden channels need \(10,\)"),
        ({"weight2": torch.ones(10, 6)}, r"weight2 has shape \(10, 6\).* need \(6, 10\)"),
        ({"bias2": torch.ones(10)}, r"bias2 has shape \(10,\); x \(2, 3, 5, 6\) .* need \(6,\)"),
        ({"gamma": torch.ones(1, 6)}, r"gamma has shape \(1, 6\).* need \(6,\)"),
        ({"sample_scale": torch.ones(3)}, r"sample_scale has shape \(3,\).* need \(2,\)"),
        ({"sample_scale": torch.ones(2, requires_grad=True)}, r"sample_scale requires a gradient.*\.detach\(\)"),
    ],
)
def test_incompatible_mlp_shapes_raise(changed: dict[str, Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mlp_residual(**{**mlp_operands(), **changed})


def ones(*shape: int) -> Tensor:
    return torch.ones(shape)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layer_norm(ones(2, 6, 3), ones(6), ones(6), channels_dim=1), r"shape \(2, 6, 3\); channels_dim=1"),
        (lambda: layer_norm(ones(2, 6), ones(6), ones(6), channels_dim=2), "channels_dim is 2; give 1 for maps"),
        (lambda: layer_norm(ones(2, 6), ones(3), ones(6), channels_dim=-1), r"shapes \(3,\) and \(6,\); x has 6"),
        (lambda: layer_norm(ones(2, 6), ones(6), ones(3), channels_dim=-1), r"shapes \(6,\) and \(3,\); x has 6"),
        (
            lambda: gelu_grn(ones(2, 3, 6), ones(1, 1, 1, 6), ones(1, 1, 1, 6)),
            r"\(2, 3, 6\); give channels-last maps",
        ),
        (lambda: gelu_grn(ones(2, 3, 5, 6), ones(6), ones(6)), r"shapes \(6,\) and \(6,\); .* give \(1, 1, 1, 6\)"),
    ],
)
def test_incompatible_norm_shapes_raise(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("operation", [mlp_residual, layer_norm, gelu_grn])
def test_requesting_triton_without_a_gpu_raises(operation: Callable[..., Tensor]) -> None:
    x, weight = ones(1, 2, 2, 6), ones(6)
    arguments: dict[Any, tuple[tuple[Tensor, ...], dict[str, int]]] = {
        mlp_residual: (tuple(mlp_operands().values()), {}),
        layer_norm: ((x, weight, weight), {"channels_dim": -1}),
        gelu_grn: ((x, weight.view(1, 1, 1, 6), weight.view(1, 1, 1, 6)), {}),
    }
    operands, options = arguments[operation]
    with pytest.raises(InputError, match="needs a CUDA device, and this tensor is on 'cpu'"):
        operation(*operands, **options, backend="triton")
