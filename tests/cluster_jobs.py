"""Training functions for tests of a cluster, in a module that its workers can import."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from modernet.studies.runs import Run, train_run
from small_runs import checkpoint_after_every_step


def train_and_die_once(run: Run, should_stop: Callable[[], bool]) -> None:
    """Train with a checkpoint after every step; the first attempt at depthwise_conv is killed after its second step.

    Every attempt writes its number of steps to a file in the folder of the run.
    """
    checkpoint_after_every_step()
    attempt = len(list(run.folder.glob("attempt-*")))
    diary = run.folder / f"attempt-{attempt}"
    steps = 0

    def count_steps() -> bool:
        nonlocal steps
        steps += 1
        run.folder.mkdir(parents=True, exist_ok=True)
        diary.write_text(str(steps))
        if steps == 3 and attempt == 0 and run.name == "depthwise_conv":
            os.kill(os.getpid(), signal.SIGKILL)
        return should_stop()

    train_run(run, count_steps)
