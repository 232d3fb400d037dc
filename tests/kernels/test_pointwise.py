"""What the pointwise operations promise without any kernel: the model's own numbers, clear errors, export."""

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


def mlp_block(given: dict[str, Tensor]) -> Tensor:
    """As `Block` in `models/convnext.py` has it."""
    expand = nn.Linear(6, 10)
    project = nn.Linear(10, 6)
    with torch.no_grad():
        for parameter, name in (
            (expand.weight, "weight1"), (expand.bias, "bias1"), (project.weight, "weight2"), (project.bias, "bias2"),
        ):  # fmt: skip
            parameter.copy_(given[name])
    y = given["gamma"] * project(nn.GELU()(expand(given["x"])))
    return given["shortcut"] + y.permute(0, 3, 1, 2)


def test_the_second_half_of_a_block_is_that_of_the_model_bit_for_bit() -> None:
    given = mlp_operands()
    assert torch.equal(mlp_residual(**given), mlp_block(given))


def test_the_second_half_of_a_block_is_that_of_the_model_under_autocast() -> None:
    given = mlp_operands()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, plain = mlp_residual(**given), mlp_block(given)
    assert ours.dtype == plain.dtype == torch.float32
    assert torch.equal(ours, plain)


def test_sample_scale_is_what_drop_path_multiplies_by() -> None:
    given = mlp_operands(b=8)
    branch = mlp_residual(**given) - given["shortcut"]
    torch.manual_seed(3)
    dropped = DropPath(0.5).train()(branch)
    torch.manual_seed(3)
    scale = torch.empty(8).bernoulli_(0.5) / 0.5
    assert 0 < scale.sum() < 16
    torch.testing.assert_close(mlp_residual(**given, sample_scale=scale), given["shortcut"] + dropped)


def test_gelu_and_grn_are_those_of_the_model_bit_for_bit() -> None:
    torch.manual_seed(0)
    x, grn = torch.randn(2, 3, 5, 8), GRN(8)
    nn.init.normal_(grn.gamma)
    nn.init.normal_(grn.beta)
    assert torch.equal(gelu_grn(x, grn.gamma, grn.beta), grn(nn.GELU()(x)))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_layer_norm_of_maps_is_that_of_the_model_bit_for_bit(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    x, norm = torch.randn(2, 8, 3, 5).contiguous(memory_format=memory_format), LayerNorm2d(8)
    nn.init.normal_(norm.weight)
    assert torch.equal(layer_norm(x, norm.weight, norm.bias, channels_dim=1), norm(x))


def test_layer_norm_of_the_last_dimension_is_pytorchs_bit_for_bit() -> None:
    torch.manual_seed(0)
    x, norm = torch.randn(2, 3, 8), nn.LayerNorm(8, eps=1e-6)
    assert torch.equal(layer_norm(x, norm.weight, norm.bias, channels_dim=-1), norm(x))


class Pointwise(nn.Module):
    """All three, one after another."""

    def forward(self, given: dict[str, Tensor]) -> Tensor:
        y = mlp_residual(**given)
        y = layer_norm(y, given["gamma"], given["bias2"], channels_dim=1)
        gamma = given["gamma"].view(1, 1, 1, -1)
        return gelu_grn(y.permute(0, 2, 3, 1), gamma, gamma)


def test_an_exported_network_has_no_operator_of_ours() -> None:
    given = mlp_operands()
    program = torch.export.export(Pointwise(), (given,))
    assert not [node for node in program.graph.nodes if "modernet" in str(node.target)]
    torch.testing.assert_close(program.module()(given), Pointwise()(given))


def test_multiply_accumulates_are_still_counted() -> None:
    with FlopCounterMode(display=False) as counted:
        mlp_residual(**mlp_operands())
    assert counted.get_total_flops() == 2 * 2 * (2 * 3 * 5) * 6 * 10


def test_float64_is_plain_pytorch_whatever_is_asked_for() -> None:
    given = {name: t.double() for name, t in mlp_operands().items()}
    assert torch.equal(mlp_residual(**given, backend="triton"), mlp_residual(**given))
    x, weight = given["x"], given["gamma"]
    assert layer_norm(x, weight, weight, channels_dim=-1, backend="triton").dtype == torch.float64
    grn = weight.view(1, 1, 1, -1)
    assert gelu_grn(x, grn, grn, backend="triton").dtype == torch.float64


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": torch.ones(2, 6)}, r"x has shape \(2, 6\); give maps with channels at the end \(b, h, w, c\)"),
        ({"shortcut": torch.ones(2, 3, 5, 6)}, r"shortcut has shape \(2, 3, 5, 6\).* belongs \(2, 6, 3, 5\)"),
        ({"weight1": torch.ones(10, 7)}, r"weight1 has shape \(10, 7\).* belongs \(10, 6\)"),
        ({"bias1": torch.ones(6)}, r"bias1 has shape \(6,\).* 10 hidden channels belongs \(10,\)"),
        ({"weight2": torch.ones(10, 6)}, r"weight2 has shape \(10, 6\).* belongs \(6, 10\)"),
        ({"bias2": torch.ones(10)}, r"bias2 has shape \(10,\); to x \(2, 3, 5, 6\) .* belongs \(6,\)"),
        ({"gamma": torch.ones(1, 6)}, r"gamma has shape \(1, 6\).* belongs \(6,\)"),
        ({"sample_scale": torch.ones(3)}, r"sample_scale has shape \(3,\).* belongs \(2,\)"),
        ({"sample_scale": torch.ones(2, requires_grad=True)}, r"sample_scale requires a gradient.*\.detach\(\)"),
    ],
)
def test_shapes_that_do_not_fit_the_mlp_are_named(changed: dict[str, Tensor], message: str) -> None:
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
        (lambda: gelu_grn(ones(2, 3, 6), ones(1, 1, 1, 6), ones(1, 1, 1, 6)), r"x has shape \(2, 3, 6\); give maps"),
        (lambda: gelu_grn(ones(2, 3, 5, 6), ones(6), ones(6)), r"shapes \(6,\) and \(6,\); .* give \(1, 1, 1, 6\)"),
    ],
)
def test_shapes_that_do_not_fit_the_norms_are_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("operation", [mlp_residual, layer_norm, gelu_grn])
def test_asking_for_triton_without_a_gpu_says_what_to_do(operation: Callable[..., Tensor]) -> None:
    x, weight = ones(1, 2, 2, 6), ones(6)
    arguments: dict[Any, tuple[tuple[Tensor, ...], dict[str, int]]] = {
        mlp_residual: (tuple(mlp_operands().values()), {}),
        layer_norm: ((x, weight, weight), {"channels_dim": -1}),
        gelu_grn: ((x, weight.view(1, 1, 1, 6), weight.view(1, 1, 1, 6)), {}),
    }
    given, options = arguments[operation]
    with pytest.raises(InputError, match="needs a CUDA device, and this tensor is on 'cpu'"):
        operation(*given, **options, backend="triton")
