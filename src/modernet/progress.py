"""Progress with time left, on stderr: live bars in a terminal, a line now and then in a pipe or a log.

Library code says what it is doing with `task` or `track`; nothing is shown unless a caller, usually the command line,
opened `shown()` around it. So a notebook stays quiet, and nested work (a walk, its runs) shares one display.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Item = TypeVar("Item")


class Task(Protocol):
    """One piece of work whose length is known."""

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        """Say that `amount` more is done; `note` replaces the few words behind the bar (loss, accuracy, speed)."""


class _Silent:
    def advance(self, amount: float = 1, note: str | None = None) -> None:
        pass


class _Bar:
    """A bar of a live display in a terminal."""

    def __init__(self, display: Progress, name: str, total: float) -> None:
        self._display = display
        self._id: TaskID = display.add_task(name, total=total, note="")

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        self._display.update(self._id, advance=amount)
        if note is not None:
            self._display.update(self._id, note=note)

    def close(self) -> None:
        self._display.remove_task(self._id)


class _Lines:
    """Lines for a pipe or a log: one every `interval_s` seconds, and no line for work that is over sooner."""

    interval_s = 10.0

    def __init__(self, name: str, total: float) -> None:
        self._name, self._total, self._done, self._note = name, total, 0.0, ""
        self._start = self._last = time.monotonic()

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        self._done += amount
        self._note = self._note if note is None else note
        now = time.monotonic()
        if now - self._last < self.interval_s:
            return
        self._last = now
        left_s = (now - self._start) / self._done * (self._total - self._done) if self._done else float("inf")
        share = self._done / self._total if self._total else 1.0
        left = f"{left_s // 60:.0f}:{left_s % 60:02.0f} left" if left_s != float("inf") else "time left unknown"
        print(f"{self._name}: {share:4.0%}, {left}  {self._note}".rstrip(), file=sys.stderr, flush=True)

    def close(self) -> None:
        pass


_display: ContextVar[Progress | str | None] = ContextVar("display", default=None)


@contextmanager
def shown() -> Iterator[None]:
    """Show every task that is opened inside this context."""
    if _display.get() is not None:
        yield
        return
    if not sys.stderr.isatty():
        token = _display.set("lines")
        try:
            yield
        finally:
            _display.reset(token)
        return

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=600) as display:
        token = _display.set(display)
        try:
            yield
        finally:
            _display.reset(token)


@contextmanager
def task(name: str, total: float) -> Iterator[Task]:
    """Open a piece of work of length `total` (pictures, steps, bytes); silent unless inside `shown()`."""
    display = _display.get()
    if display is None:
        yield _Silent()
        return
    shown_task = _Lines(name, total) if isinstance(display, str) else _Bar(display, name, total)
    try:
        yield shown_task
    finally:
        shown_task.close()


def track(items: Iterable[Item], name: str, total: int) -> Iterator[Item]:
    """Yield the items one by one while a task counts them.

    >>> pictures = [read(path) for path in track(paths, "reading pictures", len(paths))]
    """
    with task(name, total) as counted:
        for item in items:
            yield item
            counted.advance()


def say(message: str) -> None:
    """Print a line to stderr above the bars, for what a person should know while work goes on; silent unless shown."""
    display = _display.get()
    if display is None:
        return
    if isinstance(display, str):
        print(message, file=sys.stderr, flush=True)
    else:
        display.console.print(message, markup=False, highlight=False)
