"""A network in other runtimes, as their own documentation runs it on a CPU: what `cpu_precision.py` compares with.

`uv run --group neighbours ...` installs them. None of it uses `modernet.deploy`.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from cpu_networks import Subject
from torch import Tensor, nn

from modernet.torch_internals import with_frozen_weights, with_own_code

Run = Callable[[Tensor], Tensor]
"""`(b, c, h, w)` float32, of the batch size that it was made for -> scores `(b, k)` float32."""


@dataclass(frozen=True)
class Way:
    """A way to run a network.

    Attributes:
        runtime, precision: what it is called.
        prepare: returns the network, running.
        needs: packages that it imports.
    """

    runtime: str
    precision: str
    prepare: Callable[[Subject], Run]
    needs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.runtime}, {self.precision}"

    def missing(self) -> str:
        """Return one line on what is not installed; empty if everything is."""
        missing = [name for name in self.needs if find_spec(name) is None]
        return f"{' and '.join(missing)} not installed" if missing else ""


def compiled(subject: Subject, *, dtype: torch.dtype) -> Run:
    """torch.compile with frozen weights, channels-last; bfloat16 by autocast, as PyTorch recommends for inference."""
    network: nn.Module = copy.deepcopy(subject.timm).requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(x: Tensor) -> Tensor:
        scores: Tensor = network(x)
        return scores

    program = torch.compile(with_own_code(forward))

    def run(x: Tensor) -> Tensor:
        with with_frozen_weights(), torch.no_grad(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            return program(x.contiguous(memory_format=torch.channels_last)).float()

    return run


def onnxruntime(subject: Subject, *, quantized: bool) -> Run:
    """ONNX Runtime; int8 by its static quantization, per channel, with one bit less where sums would saturate."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(subject.timm, (subject.images,), path, dynamo=True, verbose=False)
        if quantized:
            path = _quantized(path, subject.calibration)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda x: torch.from_numpy(session.run(None, {given.name: x.contiguous().numpy()})[0])


def _quantized(path: Path, batches: tuple[Tensor, ...]) -> Path:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self._batches: Iterator[dict[str, Any]] = ({name: batch.numpy()} for batch in batches)

        def get_next(self) -> dict[str, Any] | None:
            return next(self._batches, None)

    prepared, quantized = path.with_name("prepared.onnx"), path.with_name("int8.onnx")
    quant_pre_process(path, prepared)
    (given,) = onnx.load(prepared, load_external_data=False).graph.input
    capabilities = torch.cpu.get_capabilities()
    saturates = not any(capabilities.get(name) for name in ("avx512_vnni", "avx_vnni"))
    quantize_static(prepared, quantized, Reader(given.name), per_channel=True, reduce_range=saturates)
    return quantized


def openvino(subject: Subject, *, hint: str | None, quantized: bool) -> Run:
    """OpenVINO, converted from PyTorch; int8 by NNCF with its defaults.

    Args:
        hint: the precision to compute in what is not quantized; None leaves it to OpenVINO.
    """
    import openvino

    model = openvino.convert_model(subject.timm, example_input=subject.images)
    model.reshape(list(subject.images.shape))
    if quantized:
        import nncf

        has_attention = any("attention" in type(module).__name__.lower() for module in subject.timm.modules())
        model = nncf.quantize(
            model,
            nncf.Dataset([batch.numpy() for batch in subject.calibration]),
            model_type=nncf.ModelType.TRANSFORMER if has_attention else None,
        )
    settings: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, with all threads
    }
    settings |= {} if hint is None else {"INFERENCE_PRECISION_HINT": hint}
    program = openvino.Core().compile_model(model, "CPU", settings)
    return lambda x: torch.from_numpy(program([x.contiguous().numpy()])[0].copy())


NEIGHBOURS = (
    Way("timm compiled", "float32", partial(compiled, dtype=torch.float32)),
    Way("timm compiled", "bf16", partial(compiled, dtype=torch.bfloat16)),
    Way("OpenVINO", "float32", partial(openvino, hint="f32", quantized=False), ("openvino",)),
    Way("OpenVINO", "bf16", partial(openvino, hint="bf16", quantized=False), ("openvino",)),
    Way("OpenVINO", "int8", partial(openvino, hint=None, quantized=True), ("openvino", "nncf")),
    Way("ONNX Runtime", "float32", partial(onnxruntime, quantized=False), ("onnxruntime", "onnxscript")),
    Way("ONNX Runtime", "int8", partial(onnxruntime, quantized=True), ("onnxruntime", "onnxscript")),
)
