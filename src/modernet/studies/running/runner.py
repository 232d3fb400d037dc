"""Many independent runs: one by one in this process, concurrently in several, or on the machines of a cluster.

A run that fails is an outcome and does not end the others. Ctrl-C and SIGTERM stop all, each with its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from modernet import progress
from modernet.files.survival import surviving
from modernet.studies.running.cluster import Cluster, run_on_cluster
from modernet.studies.running.jobs import J, Outcome, R, Share, Work, attempt
from modernet.studies.running.processes import run_in_processes
from modernet.training import Interrupted, stop_requested_by_signal


def run_all(
    jobs: Sequence[J], work: Work[J, R], *, workers: int, title: str, cluster: Cluster | None = None
) -> Iterator[Outcome[J, R]]:
    """Run every job, and yield its outcome as soon as it is known.

    Args:
        jobs: are started in this order.
        work: does one job; a module-level function, since other processes import it.
        workers: 1 runs the jobs in this process, with all threads; more is the number of processes, which divide the
            threads.
        title: label of the whole in the progress display.
        cluster: run the jobs there instead; `workers` is ignored.

    A run has the same number of threads whether others run or not, so that it gives the same numbers when resumed.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the running jobs have written their checkpoints.
        RunStopped: the processes exit before they start a job.
        InputError: the cluster cannot be reached, or is too small for a run.
    """
    if not jobs:
        return
    with progress.bar(title, sum(job.cost for job in jobs)) as shown, stop_requested_by_signal() as stop:
        shown.advance(0, f"starting the first of {len(jobs)} runs")
        if cluster is not None:
            run = run_on_cluster(jobs, work, stop, shown, cluster)
        elif workers > 1:
            run = run_in_processes(jobs, work, stop, shown, workers)
        else:
            run = _run_here(jobs, work, stop, shown)
        for finished, outcome in enumerate(run, start=1):
            shown.advance(0, f"{finished}/{len(jobs)} runs")
            yield outcome


def _run_here(
    jobs: Sequence[J], work: Work[J, R], stop: Callable[[], bool], shown: progress.Bar
) -> Iterator[Outcome[J, R]]:
    for job in jobs:
        if stop():
            raise Interrupted("stopped between two runs")
        with progress.shown(Share(job.name, job.cost, shown.advance)):
            outcome = attempt(job, _surviving(work), stop)
        yield outcome


def _surviving(work: Work[J, R]) -> Work[J, R]:
    """Return work that is given up if it has ended this process several times; that of workers is counted there."""

    def survived(job: J, should_stop: Callable[[], bool]) -> R:
        with surviving(job.folder / ".attempts"):
            return work(job, should_stop)

    return survived
