"""Data sets that are generated once, in parallel, and kept in the cache folder."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modernet import progress
from modernet.errors import InputError, RunStopped
from modernet.files.atomic import whole_file, whole_folder
from modernet.files.cache import cache_folder, only_one
from modernet.machine.cores import decoding_workers

Arrays = Mapping[str, NDArray[Any]]
_MOST_WORKERS = 64


def generated(
    name: str,
    chunks: int,
    make: Callable[[int], Arrays],
    join: Callable[[Sequence[Path], Path], None],
    title: str | None = None,
) -> Path:
    """Return a folder of the cache, filled first if it is missing.

    Each chunk is a file, and a function of its index alone: any number of processes gives the same, and a call that is
    stopped, or a machine that fails, loses only the chunks it was at. One process fills a folder, others wait for it.

    Args:
        name: of the folder, below the cache folder; says everything that its content depends on.
        chunks: how many.
        make: makes the chunk of an index; runs in other processes.
        join: writes the files of the folder from those of the chunks (npz).
        title: of the work in progress; "generating" and the name.

    Raises:
        InputError: the files cannot be written.
        RunStopped: a process was killed.
    """
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    parts = folder.with_name(f"{folder.name}.parts")
    try:
        with only_one(folder):
            if not folder.is_dir():
                files = [parts / f"{index:06}.npz" for index in range(chunks)]
                _make_missing(title or f"generating {folder.name}", files, make)
                with whole_folder(folder) as unfinished:
                    join(files, unfinished)
                shutil.rmtree(parts, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"cannot write {folder.name} to {folder.parent}: {error.strerror or error}; "
            "set MODERNET_CACHE to a folder with room"
        ) from error
    return folder


def _make_missing(title: str, files: Sequence[Path], make: Callable[[int], Arrays]) -> None:
    """Make the chunks that have no file yet, in as many processes as there are cores."""
    missing = [index for index, file in enumerate(files) if not file.exists()]
    workers = min(decoding_workers(_MOST_WORKERS), len(missing))
    work = partial(_write, make)
    with progress.bar(title, len(files)) as bar:
        bar.advance(len(files) - len(missing))
        if workers <= 1:
            for index in missing:
                work(index, files[index])
                bar.advance()
            return
        # no copies of this process, which may have threads; where there are forks, torch is imported once for all
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(method)
        context.set_forkserver_preload([__name__])
        with ProcessPoolExecutor(workers, context, _start_worker) as pool:
            futures = [pool.submit(work, index, files[index]) for index in missing]
            try:
                for future in as_completed(futures):
                    future.result()
                    bar.advance()
            except BrokenProcessPool as error:
                raise RunStopped(
                    f"a process was killed while {title}, or could not start; what is done is kept, so give it "
                    "more memory and call again; in a script, call under if __name__ == '__main__':"
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)


def _write(make: Callable[[int], Arrays], index: int, file: Path) -> None:
    with whole_file(file) as unfinished, unfinished.open("wb") as opened:
        np.savez(opened, **make(index))  # type: ignore[arg-type]  # names of arrays, none of its options


def _start_worker() -> None:
    """Leave Ctrl-C to the process that started this one, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in a worker"
    parent.join()
    os._exit(1)


def column(chunk: Path, name: str) -> NDArray[Any]:
    """Return one array of a chunk."""
    with np.load(chunk) as arrays:
        values: NDArray[Any] = arrays[name]
        return values
