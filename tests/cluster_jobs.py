"""Training functions for tests of a cluster, in a module that its workers can import."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from modernet.studies.runs import Run, train_run
from modernet.training import loop


def train_and_die_once(run: Run, should_stop: Callable[[], bool]) -> None:
    """Train with a checkpoint after every step; the first attempt at depthwise_conv is killed after its second step.

    Every attempt writes the number of its steps to a file in the folder of the run.
    """
    loop._CHECKPOINT_INTERVAL_S, loop._CHECKPOINT_SHARE = 0.0, 1e9
    attempt = len(list(run.folder.glob("attempt-*")))
    diary = run.folder / f"attempt-{attempt}"
    steps = 0

    def counted() -> bool:
        nonlocal steps
        steps += 1
        run.folder.mkdir(parents=True, exist_ok=True)
        diary.write_text(str(steps))
        if steps == 3 and attempt == 0 and run.name == "depthwise_conv":
            os.kill(os.getpid(), signal.SIGKILL)
        return should_stop()

    train_run(run, counted)
