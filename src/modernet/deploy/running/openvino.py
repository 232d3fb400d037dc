"""OpenVINO as a runtime: float32, bfloat16, and 8-bit integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from modernet.deploy.exporting.formats import INPUT
from modernet.deploy.exporting.openvino_model import (
    compile_openvino,
    openvino_model,
    quantize_openvino,
    read_openvino,
    write_openvino,
)
from modernet.deploy.exporting.packages import not_installed
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
from modernet.torch_internals import has_bfloat16, has_vnni

if TYPE_CHECKING:
    from openvino import Model

_FILE, _WEIGHTS = "network.xml", "network.bin"
_WORDS = {"exact": "", "bf16": ", bfloat16", "int8": ", 8-bit integers"}


@dataclass(frozen=True)
class OpenVinoWay:
    """A way to run a network in OpenVINO on the CPU.

    Attributes:
        rest: the type of what is not computed with 8-bit integers. OpenVINO's own choice would be bfloat16 wherever the
            processor has it, in silence.
    """

    precision: Precision = "exact"
    rest: Literal["f32", "bf16"] = "f32"

    def __str__(self) -> str:
        also = " and bfloat16" if (self.precision, self.rest) == ("int8", "bf16") else ""
        return f"OpenVINO{_WORDS[self.precision]}{also}"

    def prepare(self, work: Work) -> OpenVinoRunner:
        program, results = program_of(work)
        translated = once(work.network, "openvino", lambda: openvino_model(program, [INPUT], results.names))
        if self.precision != "int8":
            return OpenVinoRunner(self, translated.model, results)
        images = calibration_of(work)

        def quantized() -> Model:
            return quantize_openvino(translated, images, work.kept, seven_bits=not has_vnni())

        if work.kept:  # one of several attempts, each as large as the network
            return OpenVinoRunner(self, quantized(), results)
        return OpenVinoRunner(self, once(work.network, ("openvino", images), quantized), results)

    def load(self, folder: Path) -> OpenVinoRunner:
        return OpenVinoRunner(self, read_openvino(folder / _FILE, folder / _WEIGHTS), Results.read(folder))


class OpenVino:
    """OpenVINO; NNCF makes the 8-bit integers."""

    name = "openvino"

    def missing(self) -> str:
        if line := not_installed(["openvino"], "runtimes"):
            return line
        line = not_installed(["nncf"], "runtimes")
        return f"no 8-bit integers in OpenVINO: {line}" if line else ""

    def ways(self, work: Work, precision: Precision) -> list[OpenVinoWay]:
        needed = ["openvino", "nncf"] if precision == "int8" else ["openvino"]
        if not takes_programs(work) or not_installed(needed, "runtimes"):
            return []
        if precision == "exact":
            return [OpenVinoWay()] if work.dtype == torch.float32 else []
        halves = [OpenVinoWay(precision, "bf16")] if has_bfloat16(work.images.device) else []
        return halves if precision == "bf16" else [*halves, OpenVinoWay("int8")]


class OpenVinoRunner(ForeignRunner):
    """A network run by OpenVINO."""

    way: OpenVinoWay

    def __init__(self, way: OpenVinoWay, model: Model, results: Results) -> None:
        super().__init__(results)
        self.way = way
        self.model = model
        self.sessions = lru_cache(MOST_SESSIONS)(partial(compile_openvino, model, rest=way.rest))
        self.sessions(torch.get_num_threads())

    def run(self, images: NDArray[np.float32], threads: int) -> Sequence[NDArray[Any]]:
        with self.lock:  # a compiled model that is called has one request, which its callers would share
            return list(self.sessions(threads)([images]).to_tuple())

    def save(self, folder: Path) -> None:
        self.results.write(folder)
        write_openvino(self.model, folder / _FILE, folder / _WEIGHTS)
