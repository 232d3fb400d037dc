"""Chunks are made once each, in any number of processes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from modernet.data import generating
from modernet.data.generating import Arrays, column, generated
from modernet.data.sequences.listops.generation import chunk
from modernet.errors import InputError


def make(made: Path, fails_at: int | None, index: int) -> Arrays:
    if index == fails_at:
        raise KeyboardInterrupt
    with (made / "indices").open("a") as file:
        file.write(f"{index} ")
    return {"values": np.arange(3) + 10 * index}


def join(chunks: Sequence[Path], folder: Path) -> None:
    np.save(folder / "values.npy", np.concatenate([column(file, "values") for file in chunks]))


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_chunks_are_joined_in_order_and_made_once(made: Path) -> None:
    for _ in range(2):
        folder = generated("sequences/tens", 3, partial(make, made, None), join)
        assert np.load(folder / "values.npy").tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert (made / "indices").read_text() == "0 1 2 "
    assert [path.name for path in folder.parent.iterdir() if not path.name.startswith(".")] == ["tens"]


def test_a_stopped_call_goes_on_where_it_was(made: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        generated("sequences/tens", 4, partial(make, made, 2), join)
    folder = generated("sequences/tens", 4, partial(make, made, None), join)
    assert (made / "indices").read_text() == "0 1 2 3 "
    assert len(np.load(folder / "values.npy")) == 12


def test_a_cache_that_cannot_be_written_is_one_line(made: Path) -> None:
    (made / "cache").write_text("a file, no folder")
    with pytest.raises(InputError, match=r"cannot write tens to .*; set MODERNET_CACHE to a folder with room"):
        generated("sequences/tens", 1, partial(make, made, None), join)


@pytest.mark.slow
def test_several_processes_make_the_same(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generating, "decoding_workers", lambda most: 2)
    work = partial(chunk, 21, 99, 0)  # of the package, as other processes must find it

    def lengths(chunks: Sequence[Path], folder: Path) -> None:
        np.save(folder / "lengths.npy", np.concatenate([column(file, "lengths") for file in chunks]))

    folder = generated("sequences/expressions", 3, work, lengths)
    assert np.array_equal(
        np.load(folder / "lengths.npy"), np.concatenate([work(index)["lengths"] for index in range(3)])
    )
    with pytest.raises(TypeError):  # in another process
        generated("sequences/impossible", 2, partial(chunk, "21", 99, 0), lengths)
