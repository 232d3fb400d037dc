"""Jobs, independent of what runs them: the function that does one, its outcome, its share of the progress."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from modernet import progress
from modernet.errors import one_line
from modernet.machine.memory import is_out_of_memory
from modernet.training import Interrupted


class Job(Protocol):
    """One run; it is pickled to reach its process."""

    @property
    def name(self) -> str:
        """Name of the progress bar that the run opens for its main work."""

    @property
    def cost(self) -> float:
        """Amount of work, in a unit that all jobs share."""

    @property
    def folder(self) -> Path:
        """Where it writes."""


J = TypeVar("J", bound=Job)
R = TypeVar("R")
Work = Callable[[J, Callable[[], bool]], R]
"""Does one job. Its second argument returns whether to stop; it then raises `Interrupted`."""


@dataclass(frozen=True)
class Outcome(Generic[J, R]):
    """How one run ended: with a result or an error."""

    job: J
    result: R | None = None
    error: str | None = None


def attempt(job: J, work: Work[J, R], stop: Callable[[], bool]) -> Outcome[J, R]:
    """Do a job; an exception becomes an outcome.

    Raises:
        Interrupted: the job was asked to stop.
    """
    try:
        return Outcome(job, result=work(job, stop))
    except Interrupted:
        raise
    except Exception as error:
        outcome, memory = Outcome[J, R](job, error=one_line(error, with_type=True)), is_out_of_memory(error)
    if memory:
        gc.collect()  # the next job needs the memory of a network that is in a reference cycle
    return outcome


class Share:
    """A display that adds the progress of one job, weighted by its cost, to that of all jobs."""

    def __init__(self, name: str, cost: float, advance: Callable[[float, str | None], None]) -> None:
        self._name, self._cost, self._advance = name, cost, advance

    def open(self, name: str, total: float | None) -> progress.OpenBar:
        # other work of the job (reading images, testing) does not count
        share = self._cost / total if total and name == self._name else 0.0
        return _SharedBar(name, share, self._advance)

    def say(self, message: str) -> None:
        pass


@dataclass(frozen=True)
class _SharedBar:
    name: str
    share: float
    send: Callable[[float, str | None], None]

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        if self.share > 0:
            self.send(amount * self.share, None if note is None else f"{self.name}: {note}")

    def close(self) -> None:
        pass
