"""Read the tensors of a pickle that also contains other objects, without making any of these.

Training scripts save their options, losses and dates with the weights, or the network as an object. An unpickler looks
every class and function up by its name, and this one never looks into a module: tensors and plain containers are made
by the functions below, and everything else is a placeholder that keeps its content and does nothing.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

_RUN_CODE = {
    *(
        "os",
        "posix",
        "nt",
        "subprocess",
        "commands",
        "pty",
        "runpy",
        "importlib",
        "ctypes",
        "socket",
        "shutil",
        "webbrowser",
    ),
    *(f"builtins.{name}" for name in ("exec", "eval", "compile", "open", "__import__", "breakpoint", "input")),
}
"""Modules and functions that no weights need but an attack does. They would not run; the user should know of them."""


class CodeFound(Exception):
    """The file would run code in an ordinary unpickler; the message is what it would call."""


class Placeholder(dict[Any, Any]):
    """Stands for any object: keeps its items and its state, ignores all else."""

    __hash__ = object.__hash__  # type: ignore[assignment] # to be in sets, and keys
    __eq__ = object.__eq__
    __ne__ = object.__ne__
    state: Any = None
    dump_patches = False  # the reader of old files compares the source of networks with that in the file

    def __new__(cls, *_: Any, **__: Any) -> Placeholder:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, _: Any) -> None:
        """Ignore an item, where the object was a list."""

    extend = add = append


def load_tensors(path: Path) -> Any:
    """Return the content of a PyTorch checkpoint; all but its tensors and plain containers are placeholders.

    Raises:
        CodeFound: it contains a call that only an attack needs.
        Exception: of any kind, from a damaged file.
    """
    reader = SimpleNamespace(__name__="placeholders", Unpickler=_Unpickler, load=_load)
    # not a full unpickling: torch.load reads the storages, and every name in the file is looked up by _Unpickler alone
    with path.open("rb") as file:  # of a path that ends in .safetensors, torch expects that format
        return torch.load(file, map_location="cpu", weights_only=False, pickle_module=reader, encoding="latin1")


def network_tensors(content: Placeholder) -> dict[str, Tensor] | None:
    """Return the state dict of a network that was saved as an object; None if the object is no network."""
    return dict(_state(content, "", set())) if _is_network(content) else None


def _is_network(content: object) -> bool:
    return isinstance(content, Placeholder) and isinstance(content.state, dict) and "_modules" in content.state


def _state(module: Placeholder, prefix: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    seen.add(id(module))
    temporary = module.state.get("_non_persistent_buffers_set") or ()
    for group in ("_parameters", "_buffers"):
        for name, tensor in _items(module.state.get(group)):
            if isinstance(tensor, Tensor) and name not in temporary:
                yield f"{prefix}{name}", tensor
    for name, child in _items(module.state["_modules"]):
        if _is_network(child) and id(child) not in seen:
            yield from _state(child, f"{prefix}{name}.", seen)


def _items(content: Any) -> list[tuple[Any, Any]]:
    return list(content.items()) if isinstance(content, Mapping) else []


def _tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return torch.empty(0, dtype=storage.dtype).set_(storage.untyped(), offset, size, stride)


def _parameter(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


def _subclass(make: Callable[..., Any], _type: Any, arguments: tuple[Any, ...], _state: Any) -> Any:
    return make(*arguments) if make in (_tensor, _parameter) else Placeholder()


def _attribute(*_: Any) -> type[Placeholder]:
    return Placeholder  # a class within a class, or a member of an enumeration


_MADE: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("builtins", "getattr"): _attribute,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _subclass,
}
"""What is made: immutable classes of Python, and functions of this file."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = "builtins" if module == "__builtin__" else module  # its name in the protocol of torch.save
        if module.partition(".")[0] in _RUN_CODE or f"{module}.{name}" in _RUN_CODE:
            raise CodeFound(f"{module}.{name}")
        return _MADE.get((module, name), Placeholder)


def _load(file: Any, **options: Any) -> Any:
    return _Unpickler(file, **options).load()
