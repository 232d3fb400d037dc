"""What the tests of a cluster run in its workers, which import this module."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from modernet.studies import runs
from modernet.training import loop

_train = runs._train


def train_and_die_once(run: runs.Run, should_stop: Callable[[], bool]) -> None:
    """Train with a checkpoint after every step; the first attempt at step 4 kills its process in its second step.

    Every attempt writes how many steps it did, one file each, into the folder of the run.
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
        if steps == 3 and attempt == 0 and run.words["row"] == "4":
            os.kill(os.getpid(), signal.SIGKILL)
        return should_stop()

    _train(run, counted)
