"""Runs on the machines of a Ray cluster.

Each run is a Ray task with a share of a machine. The pieces, and why each exists:

- `Cluster` (here): the address, and the share that one run gets.
- `ray_connection.py`: joins the cluster, or starts one on this machine, and turns Ray's ways to fail into one line.
- `Board` (here): an actor through which the driver, the process that waits for the runs, and the runs exchange progress
  and stop requests. Ray can cancel a task but not ask it to write a checkpoint first.
- `FolderProbe` (`ray_task.py`): a file that every machine must see. Checkpoints and records are files, so a machine
  with another file system would train for hours and leave nothing.
- `run_task` (`ray_task.py`): runs in the worker.
- `_Progress` (here): counts the work of a run once, although a run whose worker died repeats some of it.

If a worker dies (a crash, out of memory, a machine that went away), Ray starts its task again on any machine, and the
run resumes from its checkpoint. Ray is imported only when a cluster is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernet import progress
from modernet.errors import InputError, one_line
from modernet.machine.cores import usable_cores
from modernet.studies.running.jobs import J, Job, Outcome, R, Work
from modernet.studies.running.ray_connection import check_address, check_size, connected, import_ray
from modernet.studies.running.ray_task import POLL_S, probe, run_task
from modernet.training import Interrupted


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and the share of it that one run gets.

    Raises:
        InputError: a number is out of range, or the address is not valid.
    """

    address: str
    """`auto`: the cluster that this machine belongs to, or else a new one of this machine alone, which ends with the
    runs; `HOST:PORT`: the cluster of that head node, which this machine belongs to."""
    folder: Path
    """Where the runs write; every machine sees it under this path."""
    cpus: int = 1
    """Cores of a run, which are also its threads."""
    gpus: float = 0.0
    """GPUs of a run; with 0.5, two runs share one."""
    retries: int = 3
    """How often a run is started again after its worker died."""

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise InputError(f"a run gets {self.cpus} CPUs; give --run-cpus 1 or more")
        if self.gpus < 0 or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise InputError(f"a run gets {self.gpus:g} GPUs; give --run-gpus 0, a share such as 0.5, or whole GPUs")
        check_address(self.address)

    def runs_per_machine(self) -> int:
        """Return the number of such runs that share a device like this machine's, at most."""
        return max(1, int(1 / self.gpus) if self.gpus else usable_cores() // self.cpus)


def run_on_cluster(
    jobs: Sequence[J], work: Work[J, R], stop: Callable[[], bool], shown: progress.Bar, cluster: Cluster
) -> Iterator[Outcome[J, R]]:
    """Run every job as a task of the cluster; yield outcomes in the order in which they finish.

    Raises:
        InputError: Ray is not installed, the cluster cannot be reached, none of its machines is large enough for a run,
            or one of them does not see the folder.
        Interrupted: `stop` returned True, and the running jobs have stopped.
    """
    ray = import_ray()
    with connected(ray, cluster.address), probe(cluster.folder) as found:
        check_size(ray, cluster.cpus, cluster.gpus)
        board = _new_board(ray)
        task = ray.remote(
            num_cpus=cluster.cpus, num_gpus=cluster.gpus, max_retries=cluster.retries, scheduling_strategy="SPREAD"
        )(run_task)
        indices = {task.remote(index, job, work, board, found, cluster.cpus): index for index, job in enumerate(jobs)}
        pending, started = list(indices), set[int]()
        done = _Progress(jobs, shown)
        while pending:
            ended, pending = ray.wait(pending, timeout=POLL_S)
            for index, news in ray.get(board.read.remote(stop())).items():
                started.add(index)
                done.update(index, *news)
            for reference in ended:
                outcome = outcome_of(ray, reference, jobs[indices[reference]], cluster.retries)
                if outcome is not None:
                    done.finish(indices[reference])
                    yield outcome
            if stop() and not any(indices[reference] in started for reference in pending):
                break
        if stop():
            raise Interrupted("stopped")


def _new_board(ray: Any) -> Any:
    """Create the actor through which the driver and the runs exchange progress and stop requests; it uses 0 CPUs."""

    class Board:  # a local class is pickled by value, so the actor's process does not import torch to find it
        def __init__(self) -> None:
            self.news: dict[int, Any] = {}  # index of a run -> its worker, work done, and a note
            self.stopping = False

        def report(self, index: int, news: Any) -> bool:
            """Store the progress of a run; return whether it should stop."""
            self.news[index] = news
            return self.stopping

        def read(self, stopping: bool) -> dict[int, Any]:
            """Return the reports since the last call. `stopping` is passed every time, for an actor that restarted."""
            self.stopping = stopping
            news, self.news = self.news, {}
            return news

    return ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Board).remote()


class _Progress:
    """The work done in each run; what a run repeats after its worker died is counted once."""

    def __init__(self, jobs: Sequence[Job], shown: progress.Bar) -> None:
        self._jobs, self._shown = jobs, shown
        self._done = [0.0] * len(jobs)
        self._workers: dict[int, str] = {}

    def update(self, index: int, worker: str, done: float, note: str | None) -> None:
        if self._workers.setdefault(index, worker) != worker:
            self._workers[index] = worker
            progress.say(f"{self._jobs[index].name}: its worker died; another one continues")
        self._advance(index, done, note)

    def finish(self, index: int) -> None:
        self._advance(index, self._jobs[index].cost, None)

    def _advance(self, index: int, done: float, note: str | None) -> None:
        more = max(0.0, done - self._done[index])
        self._done[index] += more
        self._shown.advance(more, note)


def outcome_of(ray: Any, reference: Any, job: J, retries: int) -> Outcome[J, Any] | None:
    """Return how a finished task ended; None if it was asked to stop.

    Raises:
        InputError: its machine does not see the folder of the runs.
    """
    errors = ray.exceptions
    try:
        outcome: Outcome[J, Any] | None = ray.get(reference)
    except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
        attempts = f"{retries + 1} times" if retries else "once"
        return Outcome(job, error=f"its worker died {attempts}; out of memory?")
    except errors.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        # before the job began: a machine with another version of modernet, for example
        reason = one_line(error.cause, with_type=True).partition(" traceback:")[0]
        return Outcome(job, error=f"its worker cannot run it: {reason}")
    except errors.RayError as error:
        return Outcome(job, error=one_line(error, with_type=True))
    return outcome
