"""The runtimes that `optimize` measures against each other."""

from __future__ import annotations

from modernet.deploy.running.onnx_runtime import OnnxRuntime
from modernet.deploy.running.openvino import OpenVino
from modernet.deploy.running.torch_int8 import TorchInt8
from modernet.deploy.running.torch_ways import PyTorch
from modernet.deploy.running.way import Runtime

RUNTIMES: tuple[Runtime, ...] = (OnnxRuntime(), OpenVino(), PyTorch(), TorchInt8())
"""In the order in which their ways are prepared: first those that take the least time to prepare."""
