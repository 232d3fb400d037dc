"""Jobs for tests of the runner, in a module that worker processes can import."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modernet import progress
from modernet.training import Interrupted


@dataclass(frozen=True)
class Sum:
    """Add two numbers; or fail, or die, or wait for a stop."""

    name: str
    left: int
    right: int
    cost: float = 1.0
    diary: Path | None = None
    folder: Path = Path()


def add(job: Sum, should_stop: Callable[[], bool]) -> int:
    with progress.bar(job.name, 10) as shown:
        shown.advance(5, "half")
        if job.name == "fails":
            raise ZeroDivisionError("cannot\nadd")
        if job.name == "dies":
            os._exit(9)
        if job.name == "waits":
            assert job.diary is not None
            job.diary.write_text("waiting")
            while not should_stop():
                time.sleep(0.01)
            job.diary.write_text("stopped")
            raise Interrupted("asked to")
        shown.advance(5)
    return job.left + job.right
