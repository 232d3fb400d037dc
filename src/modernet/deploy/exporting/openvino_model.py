"""OpenVINO's models: translated from a traced network, in 8-bit integers, and compiled for the CPU."""

from __future__ import annotations

import functools
import logging
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from modernet.deploy.exporting.silence import without_chatter
from modernet.errors import InputError, one_line

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, Model
    from torch.export import ExportedProgram

_WEIGHTED = ("Convolution", "GroupConvolution", "MatMul")


class Translated(NamedTuple):
    """A network as OpenVINO's model.

    Attributes:
        model: images in float32 -> results.
        modules: for the beginning of an operation's name, up to its first slash, the names of the modules in whose
            forward pass it is, from the outermost to the layer itself.
    """

    model: Model
    modules: Mapping[str, frozenset[str]]


def openvino_model(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> Translated:
    """Translate a program to OpenVINO, from PyTorch's operations and not from ONNX.

    By ONNX, OpenVINO reads some operations wrongly: DFT, antialiased Resize, RoiAlign. The shapes are the program's:
    only the batch size is open.

    Args:
        inputs, outputs: their names in the model.

    Raises:
        InputError: OpenVINO does not support an operation of the program.
    """
    with without_chatter():
        from openvino import convert_model
        from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

        try:
            decoder = TorchFXPythonDecoder.from_exported_program(program, dynamic_shapes=False)
            model = convert_model(decoder)
        except Exception as error:  # its converters raise anything
            reason = one_line(error).rpartition("wasn't fully converted. ")[-1]
            raise InputError(f"OpenVINO does not support this network ({reason})") from error
    for ports, names in ((model.inputs, inputs), (model.outputs, outputs)):
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    modules = {
        node.name: frozenset(name for name, _ in node.meta.get("nn_module_stack", {}).values())
        for node in decoder.pt_module.graph.nodes
    }
    return Translated(model, modules)


def quantize_openvino(
    translated: Translated, images: Tensor, kept: Collection[str], *, seven_bits: bool, batch: int = 1
) -> Model:
    """Return a model whose convolutions and products with weights are computed with 8-bit integers, by NNCF.

    Args:
        images: `(n, c, h, w)` as the model takes them; they give the ranges of activations.
        kept: names of layers of the network that stay in floating point.
        seven_bits: use 7 bits for weights: without VNNI, AVX2 sums pairs of products in 16 bits, which would overflow.
        batch: number of images that the model takes, if it is fixed; it divides n.

    Raises:
        InputError: a layer that is kept has no operation in the model, or NNCF cannot quantize it.
    """
    model, modules = translated
    operations = [op for op in model.get_ordered_ops() if op.get_type_name() in _WEIGHTED]
    of = {op.get_friendly_name(): modules.get(op.get_friendly_name().split("/")[0], frozenset()) for op in operations}
    for layer in sorted(kept):
        if not any(layer in names for names in of.values()):
            raise InputError(
                f"{layer} is to stay in floating point, and no operation of OpenVINO's model is known as it"
            )
    for name, names in of.items():
        if kept and not names:
            raise InputError(f"{name} of OpenVINO's model may come from a layer that is to stay in floating point")
    ignored = [name for name, names in of.items() if names & set(kept)]
    if len(ignored) == len(of):
        raise InputError("the network has no layer that can be computed with 8-bit integers")
    with without_chatter():
        import nncf
        from nncf.quantization.advanced_parameters import OverflowFix

        level = logging.getLogger("nncf").level
        nncf.set_log_level(logging.ERROR)
        try:
            return nncf.quantize(
                model,
                nncf.Dataset([each.numpy() for each in torch.split(images.contiguous(), batch)]),
                subset_size=len(images) // batch,
                model_type=nncf.ModelType.TRANSFORMER if _has_attention(model) else None,
                ignored_scope=nncf.IgnoredScope(names=ignored),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=OverflowFix.ENABLE if seven_bits else OverflowFix.DISABLE
                ),
            )
        except Exception as error:  # NNCF raises anything
            raise InputError(f"NNCF cannot quantize this network ({one_line(error, with_type=True)})") from error
        finally:
            nncf.set_log_level(level)


def compile_openvino(model: Model, threads: int, rest: Literal["f32", "bf16"]) -> CompiledModel:
    """Compile a model for the CPU.

    Args:
        threads: number of threads.
        rest: the type of what is not computed with 8-bit integers. OpenVINO itself would choose bfloat16 wherever the
            processor has it.
    """
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": rest,
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, with all threads
        "ENABLE_CPU_PINNING": False,  # processes that pin their threads would all choose the same cores
    }
    return _core().compile_model(model, "CPU", settings)


def read_openvino(file: Path, weights: Path) -> Model:
    """Read a model that `write_openvino` wrote, under any names."""
    return _core().read_model(file.read_bytes(), weights.read_bytes())


def write_openvino(model: Model, file: Path, weights: Path) -> None:
    """Write a model and its weights as they are; OpenVINO's `save_model` rounds weights to float16 by default."""
    with without_chatter():
        from openvino import serialize

    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        xml, binary = Path(folder) / "model.xml", Path(folder) / "model.bin"  # it insists on the suffix
        serialize(model, str(xml), str(binary))
        binary.replace(weights)
        xml.replace(file)


@functools.cache
def _core() -> Core:
    with without_chatter():
        from openvino import Core

        return Core()


def _has_attention(model: Model) -> bool:
    return any(op.get_type_name() == "ScaledDotProductAttention" for op in model.get_ordered_ops())
