"""Files of weights that are not trusted, and broken ones."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from modernet.errors import InputError
from modernet.weights import read_foreign_weights

WEIGHTS = {"head.weight": torch.arange(6.0).reshape(2, 3), "head.bias": torch.tensor([1.0, 2.0])}


class Hostile:
    """What runs code when it is unpickled: here, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return exec, (f"open({str(self.mark)!r}, 'w').write('ran')",)


def equal(found: dict[str, Tensor]) -> bool:
    return found.keys() == WEIGHTS.keys() and all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_would_run_code_is_refused_without_running_it(legacy: bool, tmp_path: Path) -> None:
    path, mark = tmp_path / "weights.pth", tmp_path / "mark"
    torch.save({"model": WEIGHTS, "extra": Hostile(mark)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match=r"weights.pth was not opened: reading it would run exec; if you trust it"):
        read_foreign_weights(path)
    assert not mark.exists()


def test_a_bare_pickle_that_would_run_code_is_refused_without_running_it(tmp_path: Path) -> None:
    path, mark = tmp_path / "weights.pkl", tmp_path / "mark"
    path.write_bytes(pickle.dumps(Hostile(mark)))
    with pytest.raises(InputError, match=r"weights.pkl"):
        read_foreign_weights(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("wrapped", "found_under"),
    [
        (WEIGHTS, ""),
        ({"model": WEIGHTS, "epoch": 3, "args": argparse.Namespace(lr=0.1)}, "model"),
        ({"state_dict": WEIGHTS, "optimizer": {"state": {}}}, "state_dict"),
        ({"model": {}, "model_ema": WEIGHTS}, "model_ema"),
        ({"model": {"bias": torch.zeros(1)}, "model_ema": WEIGHTS}, "model_ema"),
        ({"state_dict": {"model": WEIGHTS}}, "state_dict.model"),
    ],
)
def test_weights_are_found_under_the_keys_of_training_scripts(wrapped: Any, found_under: str, tmp_path: Path) -> None:
    torch.save(wrapped, tmp_path / "weights.pth")
    file = read_foreign_weights(tmp_path / "weights.pth")
    assert equal(file.tensors)
    assert file.found_under == found_under


def test_safetensors_are_recognised_by_their_content(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "weights.bin")
    assert equal(read_foreign_weights(tmp_path / "weights.bin").tensors)


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
    ],
)
def test_other_files_are_explained(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_foreign_weights(tmp_path / "weights.pth")


def test_a_checkpoint_without_weights_lists_its_keys(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "loss": 0.1}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"has no weights, only epoch, loss; give a file with a state dict"):
        read_foreign_weights(tmp_path / "weights.pth")


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file or directory; give a file of weights"):
        read_foreign_weights(tmp_path / "nowhere.pth")
    with pytest.raises(InputError, match="Is a directory; give a file of weights"):
        read_foreign_weights(tmp_path)
