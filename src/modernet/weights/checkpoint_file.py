"""Read named tensors from untrusted files; no code in them is ever run."""

from __future__ import annotations

import json
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from modernet.errors import InputError, one_line
from modernet.weights.formats import foreign_format, is_checkpoint
from modernet.weights.placeholders import CodeFound, Placeholder, load_tensors, network_tensors
from modernet.weights.safetensors_file import read_safetensors

_IN_FOLDERS = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
"""Files of weights in a folder that `save_pretrained` wrote, in the order of its own loader."""
_LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
_OPTIMIZER = re.compile(r"optim(i[sz]er)?s?(_|$)", re.IGNORECASE)
"""Keys of an optimizer's state, whose tensors may have the names and shapes of the weights."""
_DEEPEST = 6  # dictionaries within dictionaries


@dataclass(frozen=True)
class Entry:
    """The tensors of one dictionary in a checkpoint, under their stored names."""

    key: str
    """Keys that lead to the dictionary, such as `"state_dict.model"`; empty for the whole file."""
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class CheckpointFile:
    """Every dictionary of tensors in a file: a training script saves several, such as weights and their average."""

    name: str
    """The path, for messages."""
    entries: tuple[Entry, ...]


def read_foreign_weights(path: Path) -> CheckpointFile:
    """Read weights: a file, the index of a sharded one, or a folder of `save_pretrained`.

    A file is `.safetensors` or a PyTorch checkpoint, recognised by its content. Objects beside the tensors of a
    checkpoint are not made, whatever their class; a network that was saved as an object gives its state dict.

    Raises:
        InputError: the file is missing, damaged, of another format, has no tensors, or would run code when opened.
    """
    tensors: dict[str, Tensor] = {}
    parts = weight_files(path)
    if len(parts) > 1:
        for part in parts:
            for entry in _read(part):
                tensors |= entry.tensors
        return CheckpointFile(str(path), (Entry("", tensors),))
    return CheckpointFile(str(path), tuple(_read(parts[0])))


def entries_of(content: Any) -> list[Entry]:
    """Return every dictionary of tensors in the content of a checkpoint, outer ones first."""
    return list(_entries(content, (), set()))


def weight_files(path: Path) -> list[Path]:
    """Return the files that hold the weights: those in a folder, or the parts that an index lists.

    Raises:
        InputError: there is no such file, the folder has no weights, or the index cannot be read or misses a part.
    """
    if not path.exists():
        raise InputError(f"cannot read {path}: No such file or directory; give a file of weights")
    if path.is_dir():
        found = next((path / name for name in _IN_FOLDERS if (path / name).is_file()), None)
        if found is None:
            raise InputError(f"{path} is a folder without {_IN_FOLDERS[0]} or {_IN_FOLDERS[2]}; give a file of weights")
        path = found
    return _parts(path) if path.name.endswith(".index.json") else [path]


def _parts(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except OSError as error:
        raise InputError(f"cannot read {index}: {error.strerror}; give a file of weights") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} is not an index of weights in parts; give the file of weights beside it") from error
    parts = [index.with_name(Path(str(name)).name) for name in names]
    for part in parts:
        if not part.is_file():
            raise InputError(f"{index} is the index of weights in {len(parts)} parts; put {part.name} beside it")
    if not parts:
        raise InputError(f"{index} lists no weights; give the file of weights beside it")
    return parts


def _read(path: Path) -> list[Entry]:
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give a file of weights") from error
    if not start:
        raise InputError(f"{path} is empty; fetch it again")
    if start[8:9] == b"{" and b"\0" in start[:8]:  # a length of 8 bytes, then JSON
        return [Entry("", _read_safetensors(path, start))]
    format_and_remedy = foreign_format(path, start)
    unknown = format_and_remedy is None or start[:1] == b"\x80"
    if path.suffix == ".safetensors" and unknown and not is_checkpoint(start):  # cut off, or big-endian
        return [Entry("", _read_safetensors(path, start))]
    if format_and_remedy is not None:
        raise InputError(f"{path} {format_and_remedy}")
    content = _read_checkpoint(path)
    try:
        entries = entries_of(content)
    except RecursionError as error:
        raise _incomplete(path, error) from error
    if not entries:
        keys = ", ".join(map(str, list(content)[:5])) if isinstance(content, Mapping) else type(content).__name__
        raise InputError(f"{path} has no weights, only {keys}; give a file with a state dict")
    return entries


def _read_safetensors(path: Path, start: bytes) -> dict[str, Tensor]:
    length = int.from_bytes(start[:8], "little")
    if length > _LARGEST_HEADER and int.from_bytes(start[:8], "big") < path.stat().st_size:
        raise InputError(
            f"{path} stores the length of its header big-endian; safetensors is little-endian: write it again with the "
            "safetensors library"
        )
    try:
        return read_safetensors(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not a complete safetensors file ({_reason(error)}); fetch it again") from error


def _read_checkpoint(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the pickle protocol, typed storages, and the source of networks
        try:
            with path.open("rb") as file:  # of a path that ends in .safetensors, torch expects that format
                return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            pass  # other objects beside the tensors
        except Exception as error:  # on other files the unpickler raises anything
            raise _incomplete(path, error) from error
        try:
            return load_tensors(path)
        except CodeFound as error:
            raise InputError(
                f"{path} was not opened: it would run {error}, which no weights need; get them as safetensors, or from "
                "a source that you trust"
            ) from error
        except Exception as error:
            raise _incomplete(path, error) from error


def _incomplete(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is not a complete PyTorch checkpoint ({_reason(error)}); fetch it again")


def _reason(error: Exception) -> str:
    return one_line(error).partition(". ")[0].rstrip(".")  # torch's second sentence advises to run the file's code


def _entries(content: Any, keys: tuple[str, ...], seen: set[int]) -> Iterator[Entry]:
    if isinstance(content, Placeholder):
        network = network_tensors(content)
        if network is not None:
            yield Entry(".".join(keys), network)
            return
        content = content or content.state
    if not isinstance(content, Mapping) or id(content) in seen or len(keys) > _DEEPEST:
        return
    seen.add(id(content))
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors:
        yield Entry(".".join(keys), tensors)
    for name, inner in content.items():
        if isinstance(name, str) and not _OPTIMIZER.search(name):
            yield from _entries(inner, (*keys, name), seen)
