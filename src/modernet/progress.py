"""Progress with time left, on stderr: live bars in a terminal, a line every 10 seconds in a pipe or a log.

Library code reports progress with `bar` or `track`, which are silent unless the caller, usually the command line, is
inside `shown()`. So a notebook stays quiet, and nested work (a study, its runs) shares one display.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Item = TypeVar("Item")


class Bar(Protocol):
    """The progress of one piece of work."""

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        """Add `amount` to the work done; `note` replaces the text behind the bar (loss, accuracy, speed)."""


class OpenBar(Bar, Protocol):
    """A bar on a display."""

    def close(self) -> None:
        """Remove it from the display."""


class _Silent:
    def advance(self, amount: float = 1, note: str | None = None) -> None:
        pass


class _LiveBar:
    """A bar in a terminal."""

    def __init__(self, display: Progress, name: str, total: float | None) -> None:
        self._display = display
        self._id: TaskID = display.add_task(name, total=total, note="")

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        self._display.update(self._id, advance=amount)
        if note is not None:
            self._display.update(self._id, note=note)

    def close(self) -> None:
        self._display.remove_task(self._id)


class _LineBar:
    """Lines for a pipe or a log: one every `interval_s` seconds, and none for shorter work."""

    def __init__(self, name: str, total: float | None, interval_s: float) -> None:
        self._interval_s = interval_s
        self._name, self._total, self._done, self._note = name, total, 0.0, ""
        self._last = time.monotonic()
        self._first: tuple[float, float] | None = None  # time, and work done; earlier time is startup

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        self._done += amount
        self._note = self._note if note is None else note
        now = time.monotonic()
        if amount > 0 and self._first is None:
            self._first = now, self._done
        if now - self._last < self._interval_s:
            return
        self._last = now
        since, before = self._first or (now, self._done)
        seconds, done = now - since, self._done - before
        left_s = round(seconds / done * (self._total - self._done)) if done and self._total is not None else None
        left_s = 0 if self._done == self._total else left_s
        share = "" if self._total is None else f"{self._done / self._total if self._total else 1.0:4.0%}, "
        left = "time left unknown" if left_s is None else f"{left_s // 60}:{left_s % 60:02} left"
        print(f"{self._name}: {share}{left}  {self._note}".rstrip(), file=sys.stderr, flush=True)

    def close(self) -> None:
        pass


class Display(Protocol):
    """Where bars are shown."""

    def open(self, name: str, total: float | None) -> OpenBar:
        """Show a new bar."""

    def say(self, message: str) -> None:
        """Show a line."""


class LineDisplay:
    """Prints lines to stderr, for a pipe or a log: at most one per bar every `interval_s` seconds."""

    def __init__(self, interval_s: float = 10.0) -> None:
        self._interval_s = interval_s

    def open(self, name: str, total: float | None) -> OpenBar:
        return _LineBar(name, total, self._interval_s)

    def say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)


class _LiveDisplay:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def open(self, name: str, total: float | None) -> OpenBar:
        return _LiveBar(self._progress, name, total)

    def say(self, message: str) -> None:
        self._progress.console.print(message, markup=False, highlight=False)


class _SayingOnce:
    """A display on which no line is shown twice."""

    def __init__(self, display: Display) -> None:
        self.open = display.open
        self._display = display
        self._said: set[str] = set()

    def say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            self._display.say(message)


_display: ContextVar[Display | None] = ContextVar("display", default=None)

if hasattr(os, "register_at_fork"):
    # a lock of the display may be held by a thread that does not exist in the child, and is then never released
    os.register_at_fork(after_in_child=lambda: _display.set(None))


@contextmanager
def shown(display: Display | None = None) -> Iterator[None]:
    """Show the bars and messages of this context: on stderr, or on another display."""
    if display is not None:
        with _using(display):
            yield
    elif _display.get() is not None:
        yield
    elif not sys.stderr.isatty():
        with _using(LineDisplay()):
            yield
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
        )
        progress = Progress(
            *columns,
            console=Console(stderr=True),
            transient=True,
            speed_estimate_period=600,
            redirect_stdout=sys.stdout.isatty(),  # above the bars; a file or a pipe gets its own
        )
        with progress, _using(_LiveDisplay(progress)):
            yield


@contextmanager
def saying_once() -> Iterator[None]:
    """Show no message twice inside, where several runs open the same images."""
    display = _display.get()
    if display is None or isinstance(display, _SayingOnce):
        yield
        return
    with _using(_SayingOnce(display)):
        yield


@contextmanager
def _using(display: Display) -> Iterator[None]:
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


@contextmanager
def bar(name: str, total: float | None) -> Iterator[Bar]:
    """Open a bar for `total` units of work (images, steps, bytes; None: unknown); silent unless inside `shown()`."""
    display = _display.get()
    if display is None:
        yield _Silent()
        return
    opened = display.open(name, total)
    try:
        yield opened
    finally:
        opened.close()


def track(items: Iterable[Item], name: str, total: int) -> Iterator[Item]:
    """Yield the items one by one while a bar counts them.

    >>> [len(name) for name in track(["stem", "head"], "measuring", 2)]
    [4, 4]
    """
    with bar(name, total) as counted:
        for item in items:
            yield item
            counted.advance()


def say(message: str) -> None:
    """Show a message above the bars; silent unless inside `shown()`."""
    display = _display.get()
    if display is not None:
        display.say(message)
