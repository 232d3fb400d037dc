"""Export formats: how each file is written, and how it is run to check it."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from modernet.deploy.exporting.outputs import Results, as_results
from modernet.deploy.exporting.packages import not_installed
from modernet.errors import InputError, one_line, root_cause

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from torch.export import ExportedProgram  # takes seconds to import

INPUT = "images"
METADATA = "modernet"
"""Name under which a file holds its metadata as JSON."""

LoadedModel = Callable[[Tensor], Results]
"""A file read back: images -> its outputs."""


class ExportFormat(Protocol):
    """A file format."""

    suffix: str
    """File suffix."""

    def companions(self, path: Path) -> tuple[Path, ...]:
        """Return the other files that are written with the one at `path`, which may have a further suffix."""

    def check(self, network: nn.Module, *, int8: bool) -> None:
        """Check that a network can be written in this format on this machine, before anything is computed.

        Args:
            int8: with 8-bit integers.

        Raises:
            InputError: it cannot.
        """

    def write(self, program: ExportedProgram, path: Path, metadata: Mapping[str, Any], outputs: Sequence[str]) -> None:
        """Write a program, its metadata and, where the format has them, the names of its outputs.

        Raises:
            InputError: the format does not support an operation of the program.
        """

    def quantize(self, path: Path, images: Tensor, batch: int | None) -> None:
        """Replace the weights of a file by 8-bit integers, which compute right on every processor.

        Args:
            images: `(n, c, h, w)` as the file takes them; they give the ranges of activations.
            batch: batch size of the file, which divides n; None for any.

        Raises:
            InputError: the network has nothing to quantize.
        """

    def open(self, path: Path, outputs: Sequence[str]) -> LoadedModel:
        """Load a file the way its user will."""


class TorchProgram:
    """A torch.export archive: graph, weights, and the metadata as `modernet.json` in its extra files."""

    suffix = ".pt2"

    def companions(self, path: Path) -> tuple[Path, ...]:
        return ()

    def check(self, network: nn.Module, *, int8: bool) -> None:
        if int8:
            raise InputError("a .pt2 is written in float32 only; for 8-bit integers give --to onnx or openvino")

    def write(self, program: ExportedProgram, path: Path, metadata: Mapping[str, Any], outputs: Sequence[str]) -> None:
        with path.open("wb") as file:  # given a path, torch.export insists on its suffix
            torch.export.save(program, file, extra_files={f"{METADATA}.json": json.dumps(metadata)})

    def open(self, path: Path, outputs: Sequence[str]) -> LoadedModel:
        with path.open("rb") as file:
            program = torch.export.load(file).module()
        return lambda images: as_results(program(images))

    def quantize(self, path: Path, images: Tensor, batch: int | None) -> None:
        raise NotImplementedError("refused by check")


class OnnxModel:
    """An ONNX model in one file, with the metadata under `modernet` in its own."""

    suffix = ".onnx"
    packages = ("onnx", "onnxruntime", "onnxscript")
    largest = 2_000_000_000
    """Limit in bytes of weights; a protobuf file is at most 2 GiB."""

    def companions(self, path: Path) -> tuple[Path, ...]:
        return ()

    def check(self, network: nn.Module, *, int8: bool) -> None:
        if line := not_installed(self.packages, "export"):
            raise InputError(f"an ONNX file cannot be written here: {line}")
        size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
        if size > self.largest:
            raise InputError(
                f"the weights are {size / 1e9:.1f} GB, and an ONNX file holds at most {self.largest / 1e9:.0f} GB; "
                "export a .pt2 (--to torch)"
            )

    def write(self, program: ExportedProgram, path: Path, metadata: Mapping[str, Any], outputs: Sequence[str]) -> None:
        try:
            model = onnx_program(program, outputs)
        except InputError as error:
            raise InputError(f"{error}; export a .pt2 (--to torch)") from error
        model.model.metadata_props[METADATA] = json.dumps(metadata)
        path.write_bytes(model.model_proto.SerializeToString())

    def quantize(self, path: Path, images: Tensor, batch: int | None) -> None:
        import onnx

        from modernet.deploy.exporting.quantized_onnx import activation_ranges, quantize_onnx

        model = onnx.load(path)
        quantized = quantize_onnx(model, activation_ranges(model, images, batch), (), seven_bits=True)
        path.write_bytes(quantized.SerializeToString())

    def open(self, path: Path, outputs: Sequence[str]) -> LoadedModel:
        session = onnx_session(path.read_bytes(), torch.get_num_threads())

        def run(images: Tensor) -> Results:
            return [torch.from_numpy(array) for array in session.run(outputs, {INPUT: images.numpy()})]

        return run


class OpenVinoModel:
    """OpenVINO's model: operations in .xml with the metadata under `modernet` in rt_info, weights in a .bin file."""

    suffix = ".xml"

    def companions(self, path: Path) -> tuple[Path, ...]:
        start, _, end = path.name.rpartition(self.suffix)
        return (path.with_name(f"{start}.bin{end}"),)

    def check(self, network: nn.Module, *, int8: bool) -> None:
        if line := not_installed(["openvino", *(["nncf"] if int8 else [])], "runtimes"):
            raise InputError(f"OpenVINO's model cannot be written here: {line}")

    def write(self, program: ExportedProgram, path: Path, metadata: Mapping[str, Any], outputs: Sequence[str]) -> None:
        from modernet.deploy.exporting.openvino_model import openvino_model, write_openvino

        try:
            model = openvino_model(program, [INPUT], outputs).model
        except InputError as error:
            raise InputError(f"{error}; export to another format (--to onnx)") from error
        model.set_rt_info(json.dumps(metadata), METADATA)
        write_openvino(model, path, *self.companions(path))

    def quantize(self, path: Path, images: Tensor, batch: int | None) -> None:
        from modernet.deploy.exporting.openvino_model import (
            Translated,
            quantize_openvino,
            read_openvino,
            write_openvino,
        )

        model = read_openvino(path, *self.companions(path))
        quantized = quantize_openvino(Translated(model, {}), images, (), seven_bits=True, batch=batch or 1)
        write_openvino(quantized, path, *self.companions(path))

    def open(self, path: Path, outputs: Sequence[str]) -> LoadedModel:
        from modernet.deploy.exporting.openvino_model import compile_openvino, read_openvino

        compiled = compile_openvino(read_openvino(path, *self.companions(path)), torch.get_num_threads(), "f32")

        def run(images: Tensor) -> Results:
            found = compiled({INPUT: images.numpy()})
            return [torch.from_numpy(found[name]) for name in outputs]

        return run


def onnx_program(program: ExportedProgram, outputs: Sequence[str]) -> torch.onnx.ONNXProgram:
    """Translate a program to ONNX.

    Args:
        outputs: names of its outputs.

    Raises:
        InputError: ONNX does not support an operation of the program.
    """
    try:
        with without_false_alarms():
            model = torch.onnx.export(
                program, (), dynamo=True, verbose=False, input_names=[INPUT], output_names=outputs
            )
    except torch.onnx.OnnxExporterError as error:
        reason = one_line(root_cause(error), with_type=True)
        raise InputError(f"ONNX does not support this network ({reason})") from error
    assert model is not None
    return model


def onnx_session(model: bytes, threads: int) -> InferenceSession:
    """Return a session of ONNX Runtime on the CPU that says nothing but errors."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return InferenceSession(model, options, providers=["CPUExecutionProvider"])


FORMATS: dict[str, ExportFormat] = {"torch": TorchProgram(), "onnx": OnnxModel(), "openvino": OpenVinoModel()}


def format_of(path: Path) -> ExportFormat:
    """Return the format for a file name.

    Raises:
        InputError: the suffix is unknown.
    """
    for export_format in FORMATS.values():
        if path.suffix == export_format.suffix:
            return export_format
    raise InputError(f"cannot export to {path}: give a name with suffix .pt2 (torch.export), .onnx or .xml (OpenVINO)")


@contextmanager
def without_false_alarms() -> Iterator[None]:
    """Silence what a user can do nothing about, and what the check of the file would find if it mattered.

    torchvision's `nms` calls under the tracer what torch 2.15 deprecates, and onnx_ir logs that it takes an empty list
    for one of integers.
    """
    log = logging.getLogger("onnx_ir._convenience")
    log.addFilter(_is_alarming)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`create_unbacked_symint` is deprecated", FutureWarning)
            yield
    finally:
        log.removeFilter(_is_alarming)


def _is_alarming(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Attribute type is ambiguous because it is an empty sequence")
