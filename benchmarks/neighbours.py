"""timm's networks in other runtimes: `modernet benchmark benchmarks.neighbours:openvino_resnet50`.

Each function builds a network of timm with random weights, exports it to ONNX for batches of 8 images of 224x224, and
returns a module that runs it in float32 in the named runtime, with as many threads as torch has.

The runtimes are not dependencies of the package; `uv run --group neighbours ...` installs them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

BATCH, IMAGE_SIZE = 8, 224
NETWORKS = {
    "convnext_tiny": "convnext_tiny",
    "swin_tiny": "swin_tiny_patch4_window7_224",
    "resnet50": "resnet50",
}


class Foreign(nn.Module):
    """A network in another runtime; it has no parameters and no gradients."""

    def __init__(self, run: Callable[[Any], Any]) -> None:
        super().__init__()
        self._run = run

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self._run(x.contiguous().numpy()))


def _onnx_file(name: str, folder: str) -> Path:
    torch.manual_seed(0)
    network = timm.create_model(NETWORKS[name]).eval()
    path = Path(folder) / f"{name}.onnx"
    torch.onnx.export(network, (torch.randn(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE),), path, dynamo=True, verbose=False)
    return path


def _onnxruntime(name: str) -> Foreign:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        session = onnxruntime.InferenceSession(_onnx_file(name, folder), options, providers=["CPUExecutionProvider"])
    (images,) = session.get_inputs()
    return Foreign(lambda x: session.run(None, {images.name: x})[0])


def _openvino(name: str) -> Foreign:
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",  # otherwise it uses bfloat16 if the processor has it
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, with all threads
    }
    with tempfile.TemporaryDirectory() as folder:
        compiled = openvino.Core().compile_model(_onnx_file(name, folder), "CPU", settings)
    return Foreign(lambda x: compiled([x])[0].copy())


def onnxruntime_convnext_tiny() -> nn.Module:
    return _onnxruntime("convnext_tiny")


def onnxruntime_swin_tiny() -> nn.Module:
    return _onnxruntime("swin_tiny")


def onnxruntime_resnet50() -> nn.Module:
    return _onnxruntime("resnet50")


def openvino_convnext_tiny() -> nn.Module:
    return _openvino("convnext_tiny")


def openvino_swin_tiny() -> nn.Module:
    return _openvino("swin_tiny")


def openvino_resnet50() -> nn.Module:
    return _openvino("resnet50")
