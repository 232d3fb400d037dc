"""8-bit integers in an ONNX model, by ONNX Runtime's static quantization."""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from modernet.deploy.exporting.silence import without_chatter
from modernet.errors import InputError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Ranges = Any
"""Smallest and largest number of every activation, as ONNX Runtime keeps them."""

_BATCH = 4
"""Images that are calibrated at a time, where a model takes any number."""
_WEIGHTED = ("Conv", "Gemm", "MatMul")
_BETWEEN = ("Add", "AveragePool", "Clip", "Concat", "GlobalAveragePool", "MaxPool", "Relu")
"""What else stays in 8 bits between convolutions, in networks where no LayerNorm reads the sum of residual branches."""
_SCOPES = "pkg.torch.onnx.name_scopes"


def activation_ranges(model: ModelProto, images: Tensor, batch: int | None = None) -> Ranges:
    """Return the range of each activation, the mean over batches of the smallest and the largest number.

    Args:
        images: `(n, c, h, w)` as the model takes them.
        batch: the model's batch size, which divides n; None for any.
    """
    from onnxruntime.quantization import create_calibrator

    with without_chatter(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        calibrator = create_calibrator(
            path, [*_WEIGHTED, *_BETWEEN], f"{folder}/ranges.onnx", extra_options={"moving_average": True}
        )
        calibrator.collect_data(_Batches(images, batch or _BATCH, model.graph.input[0].name))
        return calibrator.compute_data()


def quantize_onnx(model: ModelProto, ranges: Ranges, kept: Collection[str], *, seven_bits: bool) -> ModelProto:
    """Return a model whose convolutions and products with weights are computed with 8-bit integers.

    Weights have a scale for each output channel and no zero point, activations one range for each tensor. Products with
    weights return float32: what reads them mostly computes in it, and scores of classes would be clipped.

    Args:
        model: as `torch.onnx` exports it, with the names of the modules that each node comes from.
        ranges: of its activations.
        kept: names of layers of the network that stay in float32.
        seven_bits: use 7 bits for weights: without VNNI, AVX2 sums pairs of products in 16 bits, which would overflow.

    Raises:
        InputError: a layer that is kept has no node in the model, or the model has no weights.
    """
    from onnxruntime.quantization import QDQQuantizer, QuantType

    with without_chatter():
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=seven_bits,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=_nodes_to_quantize(model, kept),
            nodes_to_exclude=[],
            op_types_to_quantize=[*_WEIGHTED, *_BETWEEN],
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
        )
        quantized: ModelProto = quantizer.quantize_model()
    return quantized


def _nodes_to_quantize(model: ModelProto, kept: Collection[str]) -> list[str]:
    """Return the names of the nodes that compute with weights, and of those between that need not leave 8 bits."""
    constants = {tensor.name for tensor in model.graph.initializer}
    nodes = model.graph.node
    weighted = [node for node in nodes if node.op_type in _WEIGHTED and node.input[1] in constants]
    modules = {node.name: _modules(node) for node in weighted}
    for layer in sorted(kept):
        if not any(layer in names for names in modules.values()):
            raise InputError(f"{layer} is to stay in float32, and no node of the ONNX model is known as it")
    for name, names in modules.items():
        if kept and not names:
            raise InputError(f"{name} of the ONNX model may come from a layer that is to stay in float32")
    chosen = [name for name, names in modules.items() if not names & set(kept)]
    if not chosen:
        raise InputError("the network has no layer that can be computed with 8-bit integers")
    if not any(node.op_type == "LayerNormalization" for node in nodes):
        chosen += [node.name for node in nodes if node.op_type in _BETWEEN]
    return chosen


def _modules(node: NodeProto) -> set[str]:
    """Return the names of the modules in whose forward pass a node is, from the outermost to the layer itself."""
    scopes = [entry.value for entry in node.metadata_props if entry.key == _SCOPES]
    return {name for scope in scopes for name in ast.literal_eval(scope)[:-1]}


class _Batches:
    """Images for a calibrator, batch by batch."""

    def __init__(self, images: Tensor, batch: int, name: str) -> None:
        self._batches = iter(torch.split(images, batch))
        self._name = name

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch.contiguous().numpy()}
