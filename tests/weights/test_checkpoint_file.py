"""Files of weights that are not trusted, and broken ones."""

from __future__ import annotations

import argparse
import collections
import datetime
import enum
import functools
import importlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import types
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.weights import read_foreign_weights

WEIGHTS = {"head.weight": torch.arange(6.0).reshape(2, 3), "head.bias": torch.tensor([1.0, 2.0])}


class Hostile:
    """What runs code when it is unpickled: here, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return exec, (f"open({str(self.mark)!r}, 'w').write('ran')",)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that has one dictionary of them."""
    (entry,) = read_foreign_weights(path).entries
    return entry.tensors


def equal(found: dict[str, Tensor]) -> bool:
    return found.keys() == WEIGHTS.keys() and all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_would_run_code_is_refused_without_running_it(legacy: bool, tmp_path: Path) -> None:
    path, mark = tmp_path / "weights.pth", tmp_path / "mark"
    torch.save({"model": WEIGHTS, "extra": Hostile(mark)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match=r"weights.pth was not opened: it would run builtins.exec, which no weights"):
        read_foreign_weights(path)
    assert not mark.exists()


def test_a_bare_pickle_that_would_run_code_is_refused_without_running_it(tmp_path: Path) -> None:
    path, mark = tmp_path / "weights.pkl", tmp_path / "mark"
    path.write_bytes(pickle.dumps(Hostile(mark)))
    with pytest.raises(
        InputError, match=r"weights.pkl is a plain pickle, not one of PyTorch; save the network's state"
    ):
        read_foreign_weights(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("wrapped", "found_under"),
    [
        (WEIGHTS, ""),
        ({"model": WEIGHTS, "epoch": 3, "args": argparse.Namespace(lr=0.1)}, "model"),
        ({"state_dict": WEIGHTS, "optimizer": {"state": {}}}, "state_dict"),
        ({"anything": {"bias": torch.zeros(1)}, "model_ema": WEIGHTS}, "model_ema"),
        ({"model": WEIGHTS, "optimizer": {"state": {"head.bias": {"exp_avg": torch.zeros(2)}}}}, "model"),
        ({"state_dict": {"model": WEIGHTS}}, "state_dict.model"),
    ],
)
def test_every_dictionary_of_tensors_is_found_but_an_optimizers(wrapped: Any, found_under: str, tmp_path: Path) -> None:
    torch.save(wrapped, tmp_path / "weights.pth")
    entries = {entry.key: entry.tensors for entry in read_foreign_weights(tmp_path / "weights.pth").entries}
    assert equal(entries[found_under])
    assert not any("optim" in key for key in entries)


def test_safetensors_are_recognised_by_their_content(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "weights.bin")
    assert equal(read(tmp_path / "weights.bin"))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_is_recognised_by_its_content(legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    for content in (WEIGHTS, {"model": WEIGHTS, "args": argparse.Namespace(lr=0.1)}):
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        assert equal(read(path))


def test_a_damaged_zip_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    content = whole("pth", path)
    entry = content.rindex(b"PK\x01\x02")  # the last one in the list of contents
    path.write_bytes(content[:entry] + b"----" + content[entry + 4 :])
    with pytest.raises(InputError, match=r"weights.pth is a damaged zip file; fetch it again"):
        read_foreign_weights(path)


def whole(kind: str, path: Path) -> bytes:
    if kind == "safetensors":
        save_file(WEIGHTS, path)
    else:
        torch.save(WEIGHTS, path)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_truncated_file_is_an_error(kind: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{kind}"
    content = whole(kind, path)
    path.write_bytes(content[: max(1, int(share * len(content)))])
    with pytest.raises(InputError, match=rf"weights.{kind} .*; fetch it again"):
        read_foreign_weights(path)


def test_a_big_endian_header_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    content = whole("safetensors", path)
    path.write_bytes(content[:8][::-1] + content[8:])
    with pytest.raises(InputError, match="stores the length of its header big-endian; safetensors is little-endian"):
        read_foreign_weights(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; fetch it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a Git LFS pointer, not the weights"),
        (b"<!DOCTYPE html><html>", "is a web page, not weights; fetch the file itself"),
        (b"some text that is no weights at all", "is not a complete PyTorch checkpoint"),
        (b"<?xml version='1.0'?><net>", "is an XML file, as OpenVINO writes; give the PyTorch or safetensors file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "is an HDF5 file, as Keras writes; give PyTorch or safetensors weights"),
        (b"GGUF\x03\0\0\0" + bytes(99), "is a GGUF file; give the unquantised PyTorch or safetensors weights"),
        (b"\x1c\0\0\0TFL3" + bytes(99), "is a TensorFlow Lite model; give the PyTorch or safetensors file"),
        (b"\x08\x0a\x12\x07pytorch" + b"\x01" * 99, "is an ONNX model; give the PyTorch or safetensors file"),
        (
            b'{"architectures": ["ViTModel"]}',
            "is a JSON file, which has no weights; give the file of weights beside it",
        ),
        (b'model_checkpoint_path: "model.ckpt-9"', "is the index of TensorFlow checkpoints"),
        (b"BZh91AY&SY", "is compressed by bzip2; unpack it, and give the file of weights inside"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "is a 7z archive; unpack it"),
    ],
)
def test_other_files_are_explained(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_foreign_weights(tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.onnx", "is an ONNX model"),
        ("model.ckpt.data-00000-of-00001", "is part of a TensorFlow checkpoint"),
        ("flax_model.msgpack", "is a Flax file"),
        ("saved_model.pb", "is a TensorFlow graph"),
    ],
)
def test_formats_without_a_signature_are_known_by_their_suffix(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x0a\x05\x01\x02" + bytes(99))
    with pytest.raises(InputError, match=f"{name} {message}"):
        read_foreign_weights(tmp_path / name)


def numpy_archive(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), kernel=np.zeros(3))
    path.with_suffix(".npz").rename(path)


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "weights.pth")


def zipped(names: list[str]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"x")

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (numpy_archive, r"is a NumPy archive \(.npz\), as JAX's releases use; write its arrays as tensors into"),
        (lambda path: np.save(path.open("wb"), np.zeros(3)), r"is a NumPy array \(.npy\); write its arrays"),
        (tar, "is a tar archive; unpack it, and give the file of weights inside"),
        (
            zipped(["weights/model.pth", "README.md"]),
            "is a zip archive; unpack it, and give the file of weights inside",
        ),
        (zipped(["config.json", "metadata.json", "model.weights.h5"]), "is a Keras file; give PyTorch or safetensors"),
        (zipped(["n/models/model.json", "n/archive_format"]), "is a program of torch.export, not weights; save the"),
        (lambda path: torch.jit.script(nn.Linear(2, 3)).save(str(path)), "is a TorchScript program, not weights; save"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_other_formats_are_named_with_the_way_from_them(
    write: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    write(tmp_path / "weights.pth")
    with pytest.raises(InputError, match=message):
        read_foreign_weights(tmp_path / "weights.pth")


class Options(dict[str, Any]):
    """A dictionary of a class that the reader does not have."""


class History(list[float]):
    """A list of such a class."""


class Mode(enum.Enum):
    CUBIC = "cubic"


BESIDE = [
    argparse.Namespace(output_dir=Path("out"), lr=np.float64(1e-3)),
    np.arange(3.0),
    collections.defaultdict(list, a=[1]),
    collections.Counter("aab"),
    collections.deque([1, 2], maxlen=3),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    {1, 2},
    frozenset({Mode.CUBIC}),
    [torch.device("cpu"), torch.float16, torch.Size([2])],
    functools.partial(nn.LayerNorm, eps=1e-6),
    Options(lr=0.1),
    History([0.3, 0.2]),
]


@pytest.mark.parametrize("beside", BESIDE, ids=lambda beside: type(beside).__name__)
@pytest.mark.parametrize("how", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}], ids=str)
def test_objects_beside_the_tensors_are_not_made(
    beside: Any, how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"model": WEIGHTS, "beside": beside}, tmp_path / "weights.pth", **how)
    monkeypatch.setattr(Options, "__init__", None)  # would fail if it were called
    monkeypatch.setattr(Mode, "__call__", None, raising=False)
    assert equal(read(tmp_path / "weights.pth"))


class FromElsewhere:
    """Pickled as a call of a function by its name."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.function = types.FunctionType((lambda: None).__code__, {}, name)
        self.function.__module__, self.function.__qualname__ = module, name
        self.arguments = arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


def test_modules_named_in_a_file_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaves_mark.py").write_text(
        "from pathlib import Path\nMARK = Path(__file__ + '.mark')\ndef run(): 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = types.ModuleType("leaves_mark")
    call = FromElsewhere("leaves_mark", "run")
    module.run = call.function  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "leaves_mark", module)
    torch.save({"model": WEIGHTS, "beside": call}, tmp_path / "weights.pth")
    monkeypatch.delitem(sys.modules, "leaves_mark")
    assert equal(read(tmp_path / "weights.pth"))
    assert "leaves_mark" not in sys.modules


@pytest.mark.parametrize("function", [os.system, subprocess.run, eval, shutil.rmtree, importlib.import_module])
def test_calls_that_only_an_attack_needs_are_refused(function: Any, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> Any:
            return function, ("touch mark",)

    torch.save({"model": WEIGHTS, "beside": Attack()}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=rf"it would run \w+.{function.__name__}, which no weights need"):
        read_foreign_weights(tmp_path / "weights.pth")


def test_any_other_call_in_a_file_is_not_made(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    class Attack:
        def __reduce__(self) -> Any:
            return Path.touch, (mark,)

    torch.save({"model": WEIGHTS, "beside": Attack()}, tmp_path / "weights.pth")
    assert equal(read(tmp_path / "weights.pth"))
    assert not mark.exists()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        self.scale = nn.Parameter(torch.ones(3))
        self.register_buffer("index", torch.arange(3), persistent=False)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_network_saved_as_an_object_gives_its_state_dict(legacy: bool, tmp_path: Path) -> None:
    network = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the source of containers, in the old format
        torch.save({"model": network}, tmp_path / "weights.pth", _use_new_zipfile_serialization=not legacy)
    tensors, expected = read(tmp_path / "weights.pth"), network.state_dict()
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], value) for name, value in expected.items())


def test_content_that_contains_itself_is_read_once(tmp_path: Path) -> None:
    network, content = Net(), {"model": WEIGHTS}
    network.body.append(network)
    content |= {"again": content, "network": network}  # type: ignore[dict-item]
    torch.save(content, tmp_path / "weights.pth")
    entries = read_foreign_weights(tmp_path / "weights.pth").entries
    assert [entry.key for entry in entries] == ["model", "network"]


def sharded(folder: Path) -> Path:
    """The weights in two parts, as `save_pretrained` writes them; returns the index."""
    parts = {f"model-0000{number}-of-00002.safetensors": name for number, name in enumerate(WEIGHTS, 1)}
    for part, name in parts.items():
        save_file({name: WEIGHTS[name]}, folder / part)
    index = {"metadata": {"total_size": 32}, "weight_map": {name: part for part, name in parts.items()}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder / "model.safetensors.index.json"


def test_weights_in_parts_are_read_by_their_index_or_folder(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    assert equal(read(index))
    assert equal(read(tmp_path))


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match=r"is the index of weights in 2 parts; put model-00002-of-00002.safetensors"):
        read_foreign_weights(index)


def test_an_index_reads_no_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    save_file(WEIGHTS, tmp_path / "outside.safetensors")
    index = tmp_path / "inside" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"head.weight": "../outside.safetensors"}}))
    with pytest.raises(InputError, match=r"put outside.safetensors beside it"):
        read_foreign_weights(index)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_the_weights_of_a_folder_are_found(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (save_file if name.endswith("safetensors") else torch.save)(WEIGHTS, tmp_path / name)
    assert equal(read(tmp_path))


def test_a_checkpoint_without_weights_lists_its_keys(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "loss": 0.1}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"has no weights, only epoch, loss; give a file with a state dict"):
        read_foreign_weights(tmp_path / "weights.pth")


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file or directory; give a file of weights"):
        read_foreign_weights(tmp_path / "nowhere.pth")
    with pytest.raises(InputError, match=r"is a folder without model.safetensors or pytorch_model.bin; give a file"):
        read_foreign_weights(tmp_path)
