"""The choice of an optimized network as data: its way, its program's files, and the machine that they are for."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any, cast, get_args

import torch

from modernet.deploy.running.network import Asked
from modernet.deploy.running.way import Precision, Way
from modernet.errors import InputError, one_line
from modernet.files.fingerprint import file_sha256
from modernet.machine.processor import processor_features
from modernet.records import OPTIMIZED_NAME

MANIFEST_NAME = OPTIMIZED_NAME
WAY_FOLDER = "way"
FORMAT = 1
_SHOWN = 4  # names of instructions in a message


@dataclass(frozen=True)
class Kind:
    """A class of ways that can be saved.

    Attributes:
        module, name: where the class is; a dataclass of JSON-able fields.
        package: the distribution whose version its files are for.
    """

    module: str
    name: str
    package: str


_HERE = "modernet.deploy.running"
KINDS = {
    "torch": Kind(f"{_HERE}.torch_ways", "TorchWay", "torch"),
    "torch int8": Kind(f"{_HERE}.torch_int8", "Int8Way", "torch"),
    "onnxruntime": Kind(f"{_HERE}.onnx_runtime", "OnnxRuntimeWay", "onnxruntime"),
    "openvino": Kind(f"{_HERE}.openvino", "OpenVinoWay", "openvino"),
}
"""Ways by what a manifest calls them. Another runtime is one more line."""


@dataclass(frozen=True)
class Machine:
    """What the files of a way are for.

    Attributes:
        features: of the processor, as `processor_features` returns them.
        versions: of distributions; empty for one that is not installed.
    """

    features: tuple[str, ...]
    versions: dict[str, str]

    @staticmethod
    def here(packages: Iterable[str]) -> Machine:
        """Describe this machine, with the versions of some distributions."""
        return Machine(processor_features(), {package: _version(package) for package in packages})

    def differences(self, other: Machine) -> str:
        """Return one line on how this machine differs from the one that files are for; empty if it does not."""
        found = []
        for names, words in (
            (set(other.features) - set(self.features), "this processor has no"),
            (set(self.features) - set(other.features), "this processor also has"),
        ):
            if names:
                listed = sorted(names)
                rest = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
                found.append(f"{words} {', '.join(listed[:_SHOWN])}{rest}")
        for package, version in other.versions.items():
            here = self.versions[package]
            if here != version:
                found.append(f"{package} is {here}, not {version}" if here else f"{package} {version} is not installed")
        return "; ".join(found)


@dataclass(frozen=True)
class Manifest:
    """What `optimized.json` says.

    Attributes:
        kind, fields: the way: its key in `KINDS`, and the fields of its class.
        precision: of the way.
        images: shape of the images `(c, h, w)`.
        batch: the batch size that was timed.
        dtype: of what the network returns.
        report: the report of `optimize`, as text.
        asked: what was asked for.
        judgement: what reduced precision changes, in words; empty for an exact way.
        fingerprint: of the network that was optimized.
        machine: what the files are for.
        files: sha256 of every other file of the folder, by its path in it.
    """

    kind: str
    fields: dict[str, Any]
    precision: Precision
    images: tuple[int, int, int]
    batch: int
    dtype: str
    report: str
    asked: Asked
    judgement: str
    fingerprint: str
    machine: Machine
    files: dict[str, str]
    modernet: str = ""
    format: int = FORMAT

    def way(self) -> Way:
        """Make the way."""
        kind = KINDS[self.kind]
        return cast(Way, getattr(importlib.import_module(kind.module), kind.name)(**self.fields))

    def write(self, folder: Path) -> None:
        text = json.dumps(asdict(self), indent=1)
        (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def kind_of(way: Way) -> str:
    """Return the key of a way's class in `KINDS`.

    Raises:
        InputError: ways of this class cannot be saved.
    """
    for key, kind in KINDS.items():
        if (type(way).__module__, type(way).__name__) == (kind.module, kind.name):
            return key
    raise InputError(f"a network that runs as {way} cannot be saved; keep the process, or leave that runtime out")


def package_of(kind: str) -> str:
    """Return the distribution whose version the files of ways of a kind are for."""
    return KINDS[kind].package


def fields_of(way: Way) -> dict[str, Any]:
    """Return the fields of a way, as JSON has them."""
    values: dict[str, Any] = json.loads(json.dumps({field.name: getattr(way, field.name) for field in fields(way)}))  # type: ignore[arg-type]
    return values


def is_optimized(folder: Path) -> bool:
    """Return whether a folder has an optimized network."""
    return (folder / MANIFEST_NAME).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Read what `Manifest.write` wrote.

    Raises:
        InputError: the folder has no optimized network, or one that is damaged or of a newer modernet.
    """
    path = folder / MANIFEST_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or not isinstance(values.get("format"), int):
            raise InputError(f"{path} is not of an optimized network: it has no field 'format'")
        if values["format"] > FORMAT:
            raise InputError(
                f"{folder} was saved by modernet {values.get('modernet')} in format {values['format']}, and this one "
                f"reads format {FORMAT}: upgrade modernet, or optimize the network again"
            )
        machine = values.pop("machine")
        values["machine"] = Machine(tuple(machine["features"]), dict(machine["versions"]))
        values["asked"] = Asked(**values.pop("asked"))
        values["images"] = tuple(values["images"])
        found = Manifest(**values)
        found.way()
        _check_types(found)
        return found
    except FileNotFoundError as error:
        raise InputError(
            f"no optimized network in {folder}: it has no {MANIFEST_NAME}; give a folder that modernet optimize wrote"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({one_line(error, with_type=True)}); optimize the network again"
        ) from error


def _check_types(manifest: Manifest) -> None:
    """Check what the fields of a manifest are.

    Raises:
        TypeError: one is something else.
    """
    if not isinstance(getattr(torch, manifest.dtype), torch.dtype):
        raise TypeError(f"{manifest.dtype} is no dtype")
    if manifest.precision not in get_args(Precision):
        raise TypeError(f"{manifest.precision} is no precision")
    asked = manifest.asked
    numbers = all(type(number) in (int, float) for number in (asked.agreement, asked.seconds))
    if not (isinstance(asked.precision, str) and numbers and isinstance(asked.compile, bool)):
        raise TypeError(f"{asked} are no arguments of optimize")
    counts = (manifest.batch, *manifest.images)
    if len(counts) != 4 or not all(type(count) is int and count > 0 for count in counts):
        raise TypeError(f"batch and images are {manifest.batch!r} and {manifest.images!r}, not four numbers")
    texts = [manifest.report, manifest.judgement, manifest.fingerprint, *manifest.machine.features]
    for name, table in (("files", manifest.files), ("versions", manifest.machine.versions)):
        if not isinstance(table, dict) or "" in table:
            raise TypeError(f"{name} is {table!r:.60}, not an object with names")
        texts += table.values()
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a field that is text has something else")


def digests(folder: Path, start: str = "") -> dict[str, str]:
    """Return the sha256 of the files of a folder by their paths in it, but of its manifest.

    Args:
        start: what the paths begin with.
    """
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files.pop(MANIFEST_NAME, None)
    return {name: file_sha256(path) for name, path in files.items() if name.startswith(start)}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
