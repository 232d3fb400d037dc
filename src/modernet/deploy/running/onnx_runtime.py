"""ONNX Runtime as a runtime: float32, and 8-bit integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from modernet.deploy.exporting.formats import INPUT, OnnxModel, onnx_program, onnx_session
from modernet.deploy.exporting.packages import not_installed
from modernet.deploy.exporting.quantized_onnx import activation_ranges, quantize_onnx
from modernet.deploy.running.foreign import (
    MOST_SESSIONS,
    ForeignRunner,
    Results,
    calibration_of,
    once,
    program_of,
    takes_programs,
)
from modernet.deploy.running.way import Precision, Work
from modernet.torch_internals import has_vnni

if TYPE_CHECKING:
    from onnx import ModelProto

_FILE = "network.onnx"


@dataclass(frozen=True)
class OnnxRuntimeWay:
    """A way to run a network in ONNX Runtime on the CPU."""

    precision: Precision = "exact"

    def __str__(self) -> str:
        return "ONNX Runtime, 8-bit integers" if self.precision == "int8" else "ONNX Runtime"

    def prepare(self, work: Work) -> OnnxRuntimeRunner:
        program, results = program_of(work)

        def translated() -> ModelProto:
            return onnx_program(program, results.names).model_proto

        model = once(work.network, "onnx", translated)
        if self.precision == "int8":
            images = calibration_of(work)
            ranges = once(work.network, ("onnx ranges", images), lambda: activation_ranges(model, images))
            model = quantize_onnx(model, ranges, work.kept, seven_bits=not has_vnni())
        return OnnxRuntimeRunner(self, model.SerializeToString(), results)

    def load(self, folder: Path) -> OnnxRuntimeRunner:
        return OnnxRuntimeRunner(self, (folder / _FILE).read_bytes(), Results.read(folder))


class OnnxRuntime:
    """ONNX Runtime. It has no bfloat16 on processors of x86."""

    name = "onnxruntime"

    def missing(self) -> str:
        return not_installed(OnnxModel.packages, "runtimes")

    def ways(self, work: Work, precision: Precision) -> list[OnnxRuntimeWay]:
        offered = precision == "int8" or (precision == "exact" and work.dtype == torch.float32)
        offered = offered and not self.missing()
        return [OnnxRuntimeWay(precision)] if offered and takes_programs(work) else []


class OnnxRuntimeRunner(ForeignRunner):
    """A network run by ONNX Runtime."""

    way: OnnxRuntimeWay

    def __init__(self, way: OnnxRuntimeWay, model: bytes, results: Results) -> None:
        super().__init__(results)
        self.way = way
        self.model = model
        self.sessions = lru_cache(MOST_SESSIONS)(partial(onnx_session, model))
        self.sessions(torch.get_num_threads())

    def run(self, images: NDArray[np.float32], threads: int) -> Sequence[NDArray[Any]]:
        with self.lock:
            session = self.sessions(threads)
        found: Sequence[NDArray[Any]] = session.run(self.results.names, {INPUT: images})
        return found

    def save(self, folder: Path) -> None:
        self.results.write(folder)
        (folder / _FILE).write_bytes(self.model)
