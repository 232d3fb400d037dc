"""A run of a study as a job, whatever does it: what it is given, how it ends, and its share of the progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from modernet import progress
from modernet.errors import one_line
from modernet.training import Interrupted


class Job(Protocol):
    """One run; it travels to its process by pickle."""

    @property
    def name(self) -> str:
        """The name under which the run shows its progress."""

    @property
    def cost(self) -> float:
        """Its length, in any unit that all jobs share."""


J = TypeVar("J", bound=Job)
R = TypeVar("R")
Work = Callable[[J, Callable[[], bool]], R]
"""Does one job; is given a function that says whether to stop, and then raises `Interrupted`."""


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
        return Outcome(job, error=one_line(error, with_type=True))


class Share:
    """A display that turns the progress of one job into progress of the whole."""

    def __init__(self, name: str, cost: float, advance: Callable[[float, str | None], None]) -> None:
        self._name, self._cost, self._advance = name, cost, advance

    def open(self, name: str, total: float | None) -> progress.OpenTask:
        # what a job does besides its own work (reading images, testing) has no share
        share = self._cost / total if total and name == self._name else 0.0
        return _SharedTask(name, share, self._advance)

    def say(self, message: str) -> None:
        pass


@dataclass(frozen=True)
class _SharedTask:
    name: str
    share: float
    send: Callable[[float, str | None], None]

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        if self.share > 0:
            self.send(amount * self.share, None if note is None else f"{self.name}: {note}")

    def close(self) -> None:
        pass
