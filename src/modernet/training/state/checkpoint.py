"""The state of a run between two steps, on disk.

The two last ones are kept: a machine that stops while it writes, or a disk that loses the end of a file, costs a few
seconds of training and not the run.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernet import progress
from modernet.errors import InputError, RunStopped
from modernet.files.atomic import check_writable, whole_file
from modernet.records import RECORD_NAME
from modernet.training.state.identity import differences

CHECKPOINT_NAME = "checkpoint.pt"
PREVIOUS_NAME = "checkpoint.previous.pt"


class DiskFull(RunStopped):
    """A checkpoint could not be written; the one before it is still there."""


@dataclass
class Checkpoint:
    """All that a run needs to go on as if it had not been stopped.

    There is no state of random generators in it: the numbers of a step depend on the seed and the step alone.
    """

    identity: dict[str, Any]
    """What was run: a checkpoint only fits a run of the same."""
    parts: int
    """Into how many parts each batch is cut: its random numbers depend on it."""
    step: int
    """Optimiser steps done."""
    skipped: int
    """Steps left out, since their loss was not finite."""
    sums: dict[str, tuple[float, float]]
    """Sum and number of samples, so far, of each mean of the epoch that the step is in."""
    history: list[dict[str, float]]
    """One row of metrics for each finished epoch."""
    clock: dict[str, float]
    """Time spent in training steps, and what throughput and energy are computed from."""
    state: dict[str, Any]
    """Weights of the network and of its average, the optimiser's state, and the gradient scaler's."""

    def write(self, folder: Path) -> None:
        """Write it to a folder, whole or not at all; the last one before it is kept beside it.

        Raises:
            DiskFull: there is no room for it.
        """
        path = folder / CHECKPOINT_NAME
        try:
            with whole_file(path) as unfinished:
                with unfinished.open("wb") as file:  # given a path, torch's writer does not say that a disk is full
                    torch.save(vars(self), file)
                if path.exists():
                    path.replace(folder / PREVIOUS_NAME)
        except (OSError, RuntimeError) as error:
            if not _no_room(error):
                raise
            raise DiskFull(
                f"no room on the disk for the checkpoint of step {self.step} in {folder}; the one before it is kept: "
                "make room, then go on with --resume"
            ) from error


def read_checkpoint(folder: Path, identity: Mapping[str, Any]) -> Checkpoint | None:
    """The newest checkpoint in a folder that can be read; None if there is none.

    Raises:
        InputError: all are damaged, or it belongs to a run with another recipe, seed or data.
    """
    paths = [folder / name for name in (CHECKPOINT_NAME, PREVIOUS_NAME) if (folder / name).exists()]
    for path in paths:
        try:
            found = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
        except Exception:  # damaged bytes raise anything, from EOFError to UnicodeDecodeError
            progress.say(f"{path} cannot be read; looking for the one before it")
            continue
        different = differences(found.identity, identity)
        if different:
            raise InputError(
                f"{path} belongs to a run with {'; '.join(different[:3])}; give another folder, or remove it"
            )
        if path.name == PREVIOUS_NAME:
            progress.say(f"going on from {path}, step {found.step}")
        return found
    if paths:
        raise InputError(f"the checkpoint {paths[0]} cannot be read; remove it to start anew")
    return None


def has_checkpoint(folder: Path) -> bool:
    """Whether a folder holds an unfinished run."""
    return any((folder / name).exists() for name in (CHECKPOINT_NAME, PREVIOUS_NAME))


def prepare_folder(folder: Path, *, resume: bool, restarted: bool = False) -> None:
    """Check that a run may use a folder, so that no run is continued or overwritten by mistake.

    Args:
        resume: whether the user wants to go on with an unfinished run.
        restarted: whether a launcher starts a run again that may have come to a checkpoint or not.

    Raises:
        InputError: it holds a finished run; or an unfinished one without `resume`; or none with it; or cannot be
            written to.
    """
    if (folder / RECORD_NAME).exists():
        raise InputError(f"{folder} holds a finished run; give another --out, or remove it")
    check_writable(folder)
    if restarted:
        return
    unfinished = has_checkpoint(folder)
    if unfinished and not resume:
        raise InputError(f"{folder} holds an unfinished run; add --resume to go on with it, or give another --out")
    if resume and not unfinished:
        raise InputError(f"{folder} holds no unfinished run; leave out --resume")


def remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoints of a run that came to its end."""
    for name in (CHECKPOINT_NAME, PREVIOUS_NAME):
        (folder / name).unlink(missing_ok=True)


def _no_room(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is a full disk; torch's writer fails again while it closes the file."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
