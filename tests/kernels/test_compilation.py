"""The kernels compile for a GPU, even on a machine without one; the interpreter accepts more than the compiler."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import pytest

from modernet.kernels.launch import OPTIONS

triton = pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="compiles, does not interpret")

HOPPER = 90  # compute capability of an H100 or H200
SIZES = {
    "rows", "columns", "inner", "positions", "channels", "tiles", "rows_per_slice", "height", "width",
    "tiles_per_program",
}  # fmt: skip
FLOAT32 = {
    "mean", "rstd", "squares", "sums", "factor", "pull", "grad_h_sums", "sample_scale",
    "bias_sums", "weight_sums", "weight1_sums", "bias1_sums", "weight2_sums", "sums_ptr",
}  # fmt: skip

ON_CHIP = {
    "CHANNELS": 24, "HIDDEN": 40, "MAIN": 16, "REST": 16, "BLOCK_ROWS": 16, "BLOCK_HIDDEN": 16, "PRECISION": "ieee"
}  # fmt: skip
PRODUCT = {"BLOCK_ROWS": 16, "BLOCK_COLUMNS": 16, "BLOCK_INNER": 16, "PRECISION": "ieee"}
NORM = {"CHANNELS": 24, "WIDTH": 32, "BLOCK": 4}
TILE = {"BLOCK_POSITIONS": 4, "BLOCK_CHANNELS": 32}
DEPTHWISE = {"CHANNELS": 24, "KERNEL": 3, "BAND": 2, "ROWS": 2, "COLUMNS": 8, "BLOCK": 16}

KERNELS = [
    ("mlp_residual.on_chip", "_forward_kernel", ON_CHIP),
    ("mlp_residual.on_chip", "_input_gradient_kernel", ON_CHIP),
    ("mlp_residual.on_chip", "_weight_gradients_kernel", ON_CHIP),
    ("mlp_residual.products", "_expand_kernel", PRODUCT),
    ("mlp_residual.products", "_project_kernel", PRODUCT),
    ("mlp_residual.products", "_hidden_gradient_kernel", PRODUCT),
    ("gelu_grn.triton_kernel", "_norm_kernel", {**TILE, "TILES": 2}),
    ("gelu_grn.triton_kernel", "_forward_kernel", TILE),
    ("gelu_grn.triton_kernel", "_sums_kernel", {**TILE, "TILES": 2}),
    ("gelu_grn.triton_kernel", "_backward_kernel", TILE),
    ("layer_norm.triton_kernel", "_forward_kernel", NORM),
    ("layer_norm.triton_kernel", "_backward_kernel", NORM),
    ("depthwise_conv.triton_kernel", "_forward", DEPTHWISE),
    ("depthwise_conv.triton_kernel", "_weight_gradient", {**DEPTHWISE, "SHIFTS": 4, "SHIFT_BLOCKS": 1}),
    ("depthwise_layer_norm.triton_kernel", "_forward", {**DEPTHWISE, "BLOCKS": 2}),
    (
        "depthwise_layer_norm.triton_kernel",
        "_norm_gradient",
        {"CHANNELS": 24, "POSITIONS": 8, "BLOCK": 16, "BLOCKS": 2},
    ),
]


@pytest.mark.parametrize(("module", "name", "constants"), KERNELS)
def test_the_kernel_compiles_for_a_gpu(module: str, name: str, constants: dict[str, Any]) -> None:
    assert compiled(getattr(import_module(f"modernet.kernels.{module}"), name), constants, num_warps=4).asm["cubin"]


def test_the_depthwise_kernel_uses_no_shared_memory() -> None:
    """Otherwise there are barriers in the innermost loop, see `load_parameter`."""
    module = import_module("modernet.kernels.depthwise_layer_norm.triton_kernel")
    tile = module.forward_tile(512, 3, 14)
    constants = {
        "CHANNELS": 512, "KERNEL": 3, "BAND": tile.band, "ROWS": tile.rows, "COLUMNS": tile.columns,
        "BLOCK": tile.channels, "BLOCKS": tile.blocks, "convolution_ptr": None,
    }  # fmt: skip
    assert compiled(module._forward, constants, tile.num_warps).metadata.shared == 0


def compiled(kernel: Any, constants: dict[str, Any], num_warps: int) -> Any:
    types = {name: argument_type(name, constants) for name in kernel.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(types.values()) if kind.startswith("*")}
    source = triton.compiler.ASTSource(kernel, types, constants, aligned)
    target = triton.backends.compiler.GPUTarget("cuda", HOPPER, 32)
    return triton.compile(source, target=target, options={"num_warps": num_warps, "num_stages": 2, **OPTIONS})


def argument_type(name: str, constants: dict[str, Any]) -> str:
    """Return the Triton type of an argument: activations and weights are bfloat16, sums and statistics float32."""
    if name in constants:
        return "constexpr"
    if name == "eps":
        return "fp32"
    if name in SIZES or name.startswith("stride"):
        return "i32"
    return "*fp32" if name in FLOAT32 else "*bf16"
