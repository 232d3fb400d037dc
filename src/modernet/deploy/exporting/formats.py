"""The kinds of file that a network is exported to: how each is written, and how it is run to check it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from modernet.errors import InputError, one_line, root_cause

INPUT, OUTPUT = "images", "scores"
FACTS = "modernet"
"""Under which name a file holds, as JSON, what its user must know."""

Run = Callable[[Tensor], Tensor]


class ExportFormat(Protocol):
    """A kind of file."""

    suffix: str
    """What its files' names end with."""

    def check(self, network: nn.Module) -> None:
        """See to it that a network can be written so on this machine, before anything is computed.

        Raises:
            InputError: it cannot.
        """

    def write(self, program: ExportedProgram, path: Path, facts: Mapping[str, Any]) -> None:
        """Write a program and what its user must know.

        Raises:
            InputError: this kind of file lacks what the program does.
        """

    def open(self, path: Path) -> Run:
        """Read a file back, as its user will."""


class TorchProgram:
    """torch.export's archive: the graph, the weights, and the facts as `modernet.json` among its extra files."""

    suffix = ".pt2"

    def check(self, network: nn.Module) -> None:
        """Every program that was traced can be written."""

    def write(self, program: ExportedProgram, path: Path, facts: Mapping[str, Any]) -> None:
        with path.open("wb") as file:  # by a path, it would insist on the suffix
            torch.export.save(program, file, extra_files={f"{FACTS}.json": json.dumps(facts)})

    def open(self, path: Path) -> Run:
        with path.open("rb") as file:
            run: Run = torch.export.load(file).module()
        return run


class OnnxModel:
    """An ONNX model in one file, with the facts in its metadata under `modernet`."""

    suffix = ".onnx"
    packages = ("onnx", "onnxruntime", "onnxscript")
    largest = 2_000_000_000
    """Bytes of weights: protobuf, which the file is made of, ends at 2 GiB."""

    def check(self, network: nn.Module) -> None:
        absent = [name for name in self.packages if find_spec(name) is None]
        if absent:
            raise InputError(
                f"an ONNX file needs {', '.join(absent)}, not installed here: pip install 'modernet[export]'"
            )
        size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
        if size > self.largest:
            raise InputError(
                f"the weights are {size / 1e9:.1f} GB, and one ONNX file holds {self.largest / 1e9:.0f} at most; "
                "export a .pt2 (--to torch)"
            )

    def write(self, program: ExportedProgram, path: Path, facts: Mapping[str, Any]) -> None:
        try:
            found = torch.onnx.export(
                program, (), dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT]
            )
        except torch.onnx.OnnxExporterError as error:
            reason = one_line(root_cause(error), with_type=True)
            raise InputError(f"ONNX lacks what this network does ({reason}); export a .pt2 (--to torch)") from error
        assert found is not None
        found.model.metadata_props[FACTS] = json.dumps(facts)
        path.write_bytes(found.model_proto.SerializeToString())

    def open(self, path: Path) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        def run(images: Tensor) -> Tensor:
            (scores,) = session.run([OUTPUT], {INPUT: images.numpy()})
            return torch.from_numpy(scores)

        return run


FORMATS: dict[str, ExportFormat] = {"torch": TorchProgram(), "onnx": OnnxModel()}


def format_of(path: Path) -> ExportFormat:
    """The format that a file's name asks for.

    Raises:
        InputError: its suffix is none of theirs.
    """
    for each in FORMATS.values():
        if path.suffix == each.suffix:
            return each
    raise InputError(f"cannot export to {path}: give a name that ends with .pt2 (torch.export) or .onnx")
