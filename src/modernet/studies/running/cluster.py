"""Runs on the machines of a Ray cluster, each a task with its share of a machine.

A run whose worker dies (a crash, out of memory, a machine that went away) is started again by Ray, on any machine, and
goes on from its checkpoint: the folder of the runs is on a file system that all machines share. Ray is imported only
when a cluster is asked for.
"""

from __future__ import annotations

import importlib
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernet import progress
from modernet.errors import InputError, one_line
from modernet.files.atomic import whole_file
from modernet.machine.cores import usable_cores
from modernet.studies.running.jobs import J, Job, Outcome, R, Share, Work, attempt
from modernet.studies.running.ray_connection import check_address, check_size, connected, import_ray
from modernet.training import Interrupted

_POLL_S = 0.2
_RETRIES = 3
"""How often a run is started again whose worker died."""
_SHARING_S = 10.0
"""How long a network file system may take to show a new file on another machine."""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and what one run takes of it.

    Raises:
        InputError: a number is out of range, or the address is none.
    """

    address: str
    """`auto`: the cluster that this machine belongs to, or else one of this machine alone, which ends with the runs;
    `HOST:PORT`: the cluster of that head node, which this machine belongs to."""
    folder: Path
    """Where the runs write. Every machine sees it under this name."""
    cpus: int = 1
    """Cores of a run, which are also its threads."""
    gpus: float = 0.0
    """GPUs of a run; 0.5 puts two on one."""

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise InputError(f"a run gets {self.cpus} CPUs; give --run-cpus 1 or more")
        if self.gpus < 0 or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise InputError(f"a run gets {self.gpus:g} GPUs; give --run-gpus 0, a share such as 0.5, or whole GPUs")
        check_address(self.address)

    def runs_per_machine(self) -> int:
        """The number of such runs that share a device like this machine's, at most."""
        return max(1, int(1 / self.gpus) if self.gpus else usable_cores() // self.cpus)


def run_on_cluster(
    jobs: Sequence[J], work: Work[J, R], stop: Callable[[], bool], shown: progress.Task, cluster: Cluster
) -> Iterator[Outcome[J, R]]:
    """Every job as a task of the cluster; outcomes in the order in which they end.

    Raises:
        InputError: Ray is not installed, the cluster cannot be reached, none of its machines is large enough for a run,
            or one of them does not see the folder.
        Interrupted: `stop` said so, and the jobs that were running have ended.
    """
    ray = import_ray()
    with connected(ray, cluster.address), _token(cluster.folder) as token:
        check_size(ray, cluster.cpus, cluster.gpus)
        board = _new_board(ray)
        task = ray.remote(
            num_cpus=cluster.cpus, num_gpus=cluster.gpus, max_retries=_RETRIES, scheduling_strategy="SPREAD"
        )(_run_on_machine)
        places = {task.remote(place, job, work, board, token, cluster.cpus): place for place, job in enumerate(jobs)}
        pending, begun = list(places), set[int]()
        told = _Told(jobs, shown)
        while pending:
            ended, pending = ray.wait(pending, timeout=_POLL_S)
            for place, news in ray.get(board.read.remote(stop())).items():
                begun.add(place)
                told.take(place, *news)
            for reference in ended:
                outcome = _outcome(ray, reference, jobs[places[reference]], cluster)
                if outcome is not None:
                    told.end(places[reference])
                    yield outcome
            if stop() and not any(places[reference] in begun for reference in pending):
                break
        if stop():
            raise Interrupted("stopped")


def _new_board(ray: Any) -> Any:
    """What runs and the one who waits for them tell each other by: an actor of the cluster, which needs no core."""

    class Board:  # here, so that it travels as it is written: its process need not load torch to find it
        def __init__(self) -> None:
            self.news: dict[int, Any] = {}  # of each run: its worker, how far it is, and a few words
            self.stopping = False

        def tell(self, place: int, news: Any) -> bool:
            """A run says how far it is; it is told whether to stop."""
            self.news[place] = news
            return self.stopping

        def read(self, stopping: bool) -> dict[int, Any]:
            """News since the last call; `stopping` is said anew each time, so that a new board knows it too."""
            self.stopping = stopping
            news, self.news = self.news, {}
            return news

    return ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Board).remote()


class _Told:
    """What is known of each job. What it does again after its worker died is not counted twice."""

    def __init__(self, jobs: Sequence[Job], shown: progress.Task) -> None:
        self._jobs, self._shown = jobs, shown
        self._done = [0.0] * len(jobs)
        self._workers: dict[int, str] = {}

    def take(self, place: int, worker: str, done: float, note: str | None) -> None:
        if self._workers.setdefault(place, worker) != worker:
            self._workers[place] = worker
            progress.say(f"{self._jobs[place].name}: its worker died; another one goes on with it")
        self._reach(place, done, note)

    def end(self, place: int) -> None:
        self._reach(place, self._jobs[place].cost, None)

    def _reach(self, place: int, done: float, note: str | None) -> None:
        more = max(0.0, done - self._done[place])
        self._done[place] += more
        self._shown.advance(more, note)


def _outcome(ray: Any, reference: Any, job: J, cluster: Cluster) -> Outcome[J, Any] | None:
    """How a task ended; None if it was asked to stop."""
    errors = ray.exceptions
    try:
        answer: Outcome[J, Any] | _Unseen | None = ray.get(reference)
    except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
        return Outcome(job, error=f"its worker died {_RETRIES + 1} times; out of memory?")
    except errors.RayTaskError as error:  # before the job began: a machine with another modernet, say
        return Outcome(
            job, error=f"its worker cannot run it: {one_line(error.cause, with_type=True).partition(' traceback:')[0]}"
        )
    except errors.RayError as error:
        return Outcome(job, error=one_line(error, with_type=True))
    if isinstance(answer, _Unseen):
        raise InputError(
            f"the machine {answer.machine} of the cluster does not see {cluster.folder}; "
            "give an --out on a file system that all machines share"
        )
    return answer


# --- in a worker -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Token:
    """A file in the folder of the runs, which a machine sees or does not."""

    path: Path
    content: str

    def is_seen(self) -> bool:
        deadline = time.monotonic() + _SHARING_S
        while True:
            try:
                if self.path.read_text(encoding="ascii") == self.content:
                    return True
            except OSError:
                pass  # not here, or not yet
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)


@contextmanager
def _token(folder: Path) -> Iterator[_Token]:
    token = _Token(folder / ".cluster", secrets.token_hex(8))
    with whole_file(token.path) as unfinished:
        unfinished.write_text(token.content, encoding="ascii")
    try:
        yield token
    finally:
        token.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Unseen:
    """The folder of the runs is not on this machine."""

    machine: str


class _Reporter:
    """A run's side of the board."""

    def __init__(self, ray: Any, board: Any, place: int) -> None:
        self._ray, self._board, self._place = ray, board, place
        self._worker = f"{platform.node()}/{os.getpid()}"
        self._done = 0.0
        self._note: str | None = None
        self._stopping, self._last = False, -_POLL_S

    def advance(self, amount: float, note: str | None) -> None:
        self._done += amount
        self._note = self._note if note is None else note

    def stopping(self) -> bool:
        """Asked after every step; the board hears of it now and then."""
        now = time.monotonic()
        if now - self._last >= _POLL_S:
            self._last = now
            news = (self._worker, self._done, self._note)
            self._stopping = self._ray.get(self._board.tell.remote(self._place, news))
        return self._stopping


def _run_on_machine(
    place: int, job: J, work: Work[J, R], board: Any, token: _Token, threads: int
) -> Outcome[J, R] | _Unseen | None:
    """The task: one job; None if it was asked to stop."""
    if not token.is_seen():
        return _Unseen(platform.node())
    torch.set_num_threads(threads)
    reporter = _Reporter(importlib.import_module("ray"), board, place)
    try:
        if reporter.stopping():
            return None
        with progress.shown(Share(job.name, job.cost, reporter.advance)):
            return attempt(job, work, reporter.stopping)
    except Interrupted:
        return None
