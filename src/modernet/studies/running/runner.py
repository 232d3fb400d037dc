"""Many independent runs: in this process one after another, in several side by side, or on the machines of a cluster.

A run that fails is an outcome, not an end; a run that is stopped leaves its checkpoint. Ctrl-C and SIGTERM
stop them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from modernet import progress
from modernet.studies.running.beside import run_beside
from modernet.studies.running.cluster import Cluster, run_on_cluster
from modernet.studies.running.jobs import J, Outcome, R, Share, Work, attempt
from modernet.training import Interrupted, stop_requested_by_signal


def run_all(
    jobs: Sequence[J], work: Work[J, R], *, workers: int, title: str, cluster: Cluster | None = None
) -> Iterator[Outcome[J, R]]:
    """Do every job and yield its outcome as soon as it is known.

    Args:
        jobs: what to do, in this order.
        work: does one job; a function of a module, so that another process can find it.
        workers: 1 runs them here, with all threads; more run so many side by side, which share the threads.
        title: what to call the whole in the display of progress.
        cluster: run them there instead; `workers` then says nothing.

    A run has the same number of threads whether it is one of many or the last one left, so that it gives the same
    numbers when it is resumed.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; what was running has written its checkpoint.
        RunStopped: the processes end before they do anything.
        InputError: the cluster cannot be reached, or cannot do such runs.
    """
    if not jobs:
        return
    with progress.task(title, sum(job.cost for job in jobs)) as shown, stop_requested_by_signal() as stop:
        shown.advance(0, f"starting the first of {len(jobs)} runs")
        if cluster is not None:
            run = run_on_cluster(jobs, work, stop, shown, cluster)
        elif workers > 1:
            run = run_beside(jobs, work, stop, shown, workers)
        else:
            run = _run_here(jobs, work, stop, shown)
        for finished, outcome in enumerate(run, start=1):
            shown.advance(0, f"{finished}/{len(jobs)} runs")
            yield outcome


def _run_here(
    jobs: Sequence[J], work: Work[J, R], stop: Callable[[], bool], shown: progress.Task
) -> Iterator[Outcome[J, R]]:
    for job in jobs:
        if stop():
            raise Interrupted("stopped between two runs")
        with progress.shown(Share(job.name, job.cost, shown.advance)):
            outcome = attempt(job, work, stop)
        yield outcome
