"""Concurrent runs in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import Any

import torch

from modernet import progress
from modernet.errors import RunStopped
from modernet.machine.linux_memory import keep_freed_memory
from modernet.studies.running.jobs import J, Outcome, R, Share, Work, attempt
from modernet.training import Interrupted, ignoring_ctrl_c

_POLL_S = 0.2
_PRELOADED = ["modernet.tasks", "torch._dynamo"]
"""What every training imports; an optimizer's first step imports torch._dynamo."""
_ATTEMPTS = 2
"""A run whose process dies (a crash, out of memory) this often has failed."""


def prepare_workers() -> None:
    """Start importing what workers need, in a process beside this one from which they will be forked.

    A worker then starts at once, where a spawned one imports torch first. Where there are no forks, it does nothing.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        with ignoring_ctrl_c():
            forkserver.ensure_running()


def _context() -> Any:
    """Return how workers start: from the server of forks, or spawned. Plain forks cannot use CUDA or threads."""
    prepare_workers()
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


def run_in_processes(
    jobs: Sequence[J], work: Work[J, R], stop: Callable[[], bool], shown: progress.Bar, workers: int
) -> Iterator[Outcome[J, R]]:
    """Run jobs in a process pool. If a process dies, a new pool retries the jobs that were running."""
    context = _context()
    attempts = dict.fromkeys(range(len(jobs)), 0)
    left = list(attempts)
    threads = max(1, torch.get_num_threads() // workers)
    while left:
        messages, stopping = context.SimpleQueue(), context.Event()
        setup = messages, stopping, threads, dict(os.environ)
        started: set[int] = set()
        ended = 0
        with (
            _listening(messages, shown, started),
            ProcessPoolExecutor(min(workers, len(left)), context, _start_worker, setup) as pool,
        ):
            with ignoring_ctrl_c():
                futures: dict[Future[Outcome[J, R]], int] = {
                    pool.submit(_do_in_worker, index, jobs[index], work): index for index in left
                }
            pending = set(futures)
            try:
                while pending:
                    done, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                    if stop() and not stopping.is_set():
                        stopping.set()
                        for future in pending:  # a shutdown would cancel them too, but `wait` never hears of that
                            future.cancel()
                    for future in done:
                        if future.cancelled() or isinstance(future.exception(), BrokenProcessPool | Interrupted):
                            continue
                        left.remove(futures[future])
                        ended += 1
                        yield future.result()
            except BaseException:  # the consumer failed, or a second Ctrl-C: stop the workers, and wait for none
                stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if stop():
            raise Interrupted("stopped")
        if not ended and not started:
            raise RunStopped(
                "the processes of the runs exit at once; in a script, call this under if __name__ == '__main__':"
            )
        for index in [index for index in left if index in started]:
            attempts[index] += 1
            if attempts[index] == _ATTEMPTS:
                left.remove(index)
                yield Outcome(jobs[index], error="its process was killed; out of memory?")


class _listening:
    """Inside, a thread that shows the progress of the workers."""

    def __init__(self, messages: Any, shown: progress.Bar, started: set[int]) -> None:
        self._messages, self._shown, self._started = messages, shown, started
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self) -> None:
        while not (self._closed.is_set() and self._messages.empty()):
            if self._messages.empty():
                time.sleep(_POLL_S / 4)
                continue
            message = self._messages.get()
            if isinstance(message, int):
                self._started.add(message)
            else:
                self._shown.advance(*message)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._closed.set()
        self._thread.join(timeout=5)  # it waits forever if a process was killed in the middle of a message


@dataclass(frozen=True)
class _Worker:
    """The channels of a worker process to its parent."""

    messages: Any
    stopping: Any

    def advance(self, amount: float, note: str | None) -> None:
        self.messages.put((amount, note))


_worker: _Worker | None = None


def _start_worker(messages: Any, stopping: Any, threads: int, environ: dict[str, str]) -> None:
    global _worker
    _worker = _Worker(messages, stopping)
    os.environ.update(environ)  # the server of forks has that of its start
    torch.set_num_threads(threads)
    keep_freed_memory()
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Exit when the process that waits for the runs has been killed, so that no process is left behind.

    The operating system's parent is the server of forks, which lives as long as its children do.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker was started by a process"
    parent.join()
    os._exit(1)


def _do_in_worker(index: int, job: J, work: Work[J, R]) -> Outcome[J, R]:
    assert _worker is not None, "the pool starts its workers with _start_worker"
    if _worker.stopping.is_set():  # the pool hands out one more job than it has workers
        raise Interrupted("stopped before it started")
    _worker.messages.put(index)
    with progress.shown(Share(job.name, job.cost, _worker.advance)):
        return attempt(job, work, _worker.stopping.is_set)
