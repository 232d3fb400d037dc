"""Checkpoints: the state of a run between two steps, on disk.

The last two are kept: a machine that stops while writing, or a disk that loses the end of a file, costs a few seconds
of training and not the run.
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
from modernet.files.atomic import whole_file
from modernet.training.state.identity import differences

CHECKPOINT_NAME = "checkpoint.pt"
PREVIOUS_NAME = "checkpoint.previous.pt"


class DiskFull(RunStopped):
    """A checkpoint could not be written; the previous one is kept."""


@dataclass
class Checkpoint:
    """Everything a run needs to resume as if it had not been stopped.

    It holds no generator states: the random numbers of a step depend on the seed and the step alone.
    """

    identity: dict[str, Any]
    """Identity of the run; see `run_identity`."""
    micro_batches: int
    """Micro-batches per step, over all processes: the random numbers depend on it."""
    step: int
    """Optimizer steps done."""
    skipped: int
    """Steps skipped because their loss was not finite."""
    sums: dict[str, tuple[float, float]]
    """Weighted sum and weight of each mean, over the epoch so far."""
    history: list[dict[str, float]]
    """One row of metrics per finished epoch."""
    clock: dict[str, float]
    """Counters behind time, throughput and energy."""
    state: dict[str, Any]
    """Weights, their EMA, and the states of optimizer, gradient scaler and task."""

    def write(self, folder: Path) -> None:
        """Write to a folder, atomically, and keep the previous checkpoint.

        Raises:
            DiskFull: the disk is full.
        """
        path = folder / CHECKPOINT_NAME
        try:
            with whole_file(path) as unfinished:
                with unfinished.open("wb") as file:  # given a path, torch's writer does not report a full disk
                    torch.save(vars(self), file)
                if path.exists():
                    path.replace(folder / PREVIOUS_NAME)
        except (OSError, RuntimeError) as error:
            if not _no_room(error):
                raise
            raise DiskFull(
                f"no space left for the checkpoint of step {self.step} in {folder}; the previous one is kept: "
                "free some space, then add --resume"
            ) from error


def read_checkpoint(folder: Path, identity: Mapping[str, Any]) -> Checkpoint | None:
    """Read the newest readable checkpoint in a folder; None if there is none.

    Raises:
        InputError: all are damaged, or it belongs to a run with another recipe, seed or data.
    """
    paths = [folder / name for name in (CHECKPOINT_NAME, PREVIOUS_NAME) if (folder / name).exists()]
    for path in paths:
        try:
            found = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
        except Exception:  # damaged bytes raise anything, from EOFError to UnicodeDecodeError
            progress.say(f"{path} cannot be read; trying the previous one")
            continue
        different = differences(found.identity, identity)
        if different:
            raise InputError(
                f"{path} belongs to a run with {'; '.join(different[:3])}; give another --out, or remove it"
            )
        if path.name == PREVIOUS_NAME:
            progress.say(f"resuming from {path}, step {found.step}")
        return found
    if paths:
        raise InputError(f"the checkpoint {paths[0]} cannot be read; remove it to start over")
    return None


def checkpoint_identity(folder: Path) -> dict[str, Any] | None:
    """Return the identity of the unfinished run in a folder; None without a checkpoint that can be read.

    The weights stay on disk.
    """
    for name in (CHECKPOINT_NAME, PREVIOUS_NAME):
        try:
            found = torch.load(folder / name, map_location="cpu", weights_only=True, mmap=True)
            return dict(found["identity"])
        except Exception:  # as in `read_checkpoint`, which says it when the run resumes
            continue
    return None


def has_checkpoint(folder: Path) -> bool:
    """Whether a folder contains an unfinished run."""
    return any((folder / name).exists() for name in (CHECKPOINT_NAME, PREVIOUS_NAME))


def remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoints of a finished run."""
    for name in (CHECKPOINT_NAME, PREVIOUS_NAME):
        (folder / name).unlink(missing_ok=True)


def _no_room(error: BaseException | None) -> bool:
    """Whether an error, or its cause, is a full disk; torch's writer fails again while closing the file."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
