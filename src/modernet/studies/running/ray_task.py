"""The part of a run on a cluster that happens in a Ray worker, on any machine."""

from __future__ import annotations

import importlib
import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernet import progress
from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.studies.running.jobs import J, Outcome, R, Share, Work, attempt
from modernet.training import Interrupted

POLL_S = 0.2
_SYNC_S = 10.0
"""How long a network file system may take to show a new file on another machine."""


@dataclass(frozen=True)
class FolderProbe:
    """A file with random content in the folder of the runs; a machine that can read it shares the folder."""

    path: Path
    content: str

    def check(self, timeout_s: float = _SYNC_S) -> None:
        """Wait until this machine sees the file.

        Raises:
            InputError: it does not see it in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self._is_visible():
            if time.monotonic() > deadline:
                raise InputError(
                    f"the machine {platform.node()} of the cluster does not see {self.path.parent}; "
                    "give an --out on a file system that all machines share"
                )
            time.sleep(POLL_S)

    def _is_visible(self) -> bool:
        try:
            return self.path.read_text(encoding="ascii") == self.content
        except OSError:
            return False


@contextmanager
def probe(folder: Path) -> Iterator[FolderProbe]:
    """Write a probe to a folder; remove it afterwards."""
    found = FolderProbe(folder / ".cluster", secrets.token_hex(8))
    with whole_file(found.path) as unfinished:
        unfinished.write_text(found.content, encoding="ascii")
    try:
        yield found
    finally:
        found.path.unlink(missing_ok=True)


def run_task(
    index: int, job: J, work: Work[J, R], board: Any, found: FolderProbe, threads: int
) -> Outcome[J, R] | None:
    """Run one job; return its outcome, or None if it was asked to stop.

    Args:
        index: of the job among all, for its reports.
        board: the actor that takes reports, see `cluster.py`.

    Raises:
        InputError: this machine does not see the folder of the runs.
    """
    found.check()
    torch.set_num_threads(threads)
    reporter = _Reporter(importlib.import_module("ray"), board, index)
    try:
        if reporter.stopping():
            return None
        with progress.shown(Share(job.name, job.cost, reporter.advance)):
            return attempt(job, work, reporter.stopping)
    except Interrupted:
        return None


class _Reporter:
    """Sends the progress of a run to the board, at most every `POLL_S` seconds."""

    def __init__(self, ray: Any, board: Any, index: int) -> None:
        self._ray, self._board, self._index = ray, board, index
        self._worker = f"{platform.node()}/{os.getpid()}"
        self._done = 0.0
        self._note: str | None = None
        self._stopping, self._last = False, -POLL_S

    def advance(self, amount: float, note: str | None) -> None:
        self._done += amount
        self._note = self._note if note is None else note

    def stopping(self) -> bool:
        """Return whether the run should stop; a run asks after every step."""
        now = time.monotonic()
        if now - self._last >= POLL_S:
            self._last = now
            news = (self._worker, self._done, self._note)
            self._stopping = self._ray.get(self._board.report.remote(self._index, news))
        return self._stopping
