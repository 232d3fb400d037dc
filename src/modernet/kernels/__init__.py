"""Fused operations, one folder each: `reference.py` defines the result in plain PyTorch, `triton_kernel.py` is fast.

`backend.py` selects which one runs. Nothing is compiled at installation or import.
"""

from modernet.kernels.backend import Backend, set_measured, use_triton
from modernet.kernels.depthwise_conv import depthwise_conv
from modernet.kernels.depthwise_layer_norm import depthwise_layer_norm
from modernet.kernels.gelu_grn import gelu_grn
from modernet.kernels.layer_norm import layer_norm
from modernet.kernels.mlp_residual import mlp_residual

__all__ = [
    "Backend",
    "depthwise_conv",
    "depthwise_layer_norm",
    "gelu_grn",
    "layer_norm",
    "mlp_residual",
    "set_measured",
    "use_triton",
]
