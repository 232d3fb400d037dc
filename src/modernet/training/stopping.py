"""Stopping on request, between two steps."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from modernet.errors import RunStopped

_ONE_REQUEST_S = 1.0
"""Signals that come so soon after the first belong to it: torchrun hands on what the terminal sent already."""


class Interrupted(RunStopped):
    """The run was asked to stop; it wrote a checkpoint first, and goes on from there when it is started again."""

    exit_code = 130


@contextmanager
def ignoring_ctrl_c() -> Iterator[None]:
    """Start processes in here: a terminal's Ctrl-C reaches them too, but they inherit that it is ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def stop_requested_by_signal() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a request; a second Ctrl-C, a second or more later, stops at once.

    Yields a function that says whether a stop was requested. Outside the main thread, where Python delivers no signals,
    it never is.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return

    first = 0.0

    def request(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not requested.is_set():
            first = time.monotonic()
            requested.set()
        elif number == signal.SIGINT and time.monotonic() - first >= _ONE_REQUEST_S:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
