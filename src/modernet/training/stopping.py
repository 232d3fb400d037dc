"""Stopping on request, between two steps."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from modernet.errors import RunStopped


class Interrupted(RunStopped):
    """The run was asked to stop. It wrote a checkpoint first, from which it resumes."""

    exit_code = 130


@contextmanager
def ignoring_ctrl_c() -> Iterator[None]:
    """Let processes that are started inside ignore a terminal's Ctrl-C, which would reach them too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def stop_requested_by_signal(grace_s: float = 1.0) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop; a later Ctrl-C stops at once.

    Yields a function that returns whether a stop was requested. Outside the main thread, where Python delivers no
    signals, it never is.

    Args:
        grace_s: seconds in which further signals belong to the first: torchrun forwards what the terminal already sent.
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
        elif number == signal.SIGINT and time.monotonic() - first >= grace_s:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
