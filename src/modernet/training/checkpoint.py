"""The state of a run between two steps, on disk."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernet.atomic import check_writable, whole_file
from modernet.errors import InputError
from modernet.records import RECORD_NAME
from modernet.training.identity import differences

CHECKPOINT_NAME = "checkpoint.pt"


@dataclass
class Checkpoint:
    """All that a run needs to go on as if it had not been stopped.

    There is no state of random generators in it: the numbers of a step depend on the seed and the step alone.
    """

    identity: dict[str, Any]
    """What was run: a checkpoint only fits a run of the same."""
    step: int
    """Optimiser steps done."""
    sums: dict[str, list[float]]
    """Sum and number of samples, so far, of each mean of the epoch that the step is in."""
    history: list[dict[str, float]]
    """One row of metrics for each finished epoch."""
    clock: dict[str, float]
    """Time spent in training steps, and what the throughput is computed from."""
    state: dict[str, Any]
    """State dicts of the network, the optimiser, the average and the gradient scaler."""

    def write(self, folder: Path) -> None:
        """Write it to a folder, whole or not at all."""
        with whole_file(folder / CHECKPOINT_NAME) as unfinished:
            torch.save(vars(self), unfinished)


def read_checkpoint(folder: Path, identity: dict[str, Any]) -> Checkpoint | None:
    """The checkpoint in a folder; None if there is none.

    Raises:
        InputError: it is damaged, or belongs to a run with another recipe, seed or data.
    """
    path = folder / CHECKPOINT_NAME
    if not path.exists():
        return None
    try:
        fields = torch.load(path, map_location="cpu", weights_only=True)
        found = Checkpoint(**fields)
    except (RuntimeError, TypeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise InputError(f"the checkpoint {path} cannot be read; remove it to start anew") from error
    different = differences(found.identity, identity)
    if different:
        raise InputError(f"{path} belongs to a run with {'; '.join(different[:3])}; give another folder, or remove it")
    return found


def prepare_folder(folder: Path, *, resume: bool) -> None:
    """Check that a run may use a folder, so that no run is continued or overwritten by mistake.

    Raises:
        InputError: it holds a finished run; or an unfinished one without `resume`; or none with it; or cannot be
            written to.
    """
    if (folder / RECORD_NAME).exists():
        raise InputError(f"{folder} holds a finished run; give another --out, or remove it")
    check_writable(folder)
    unfinished = (folder / CHECKPOINT_NAME).exists()
    if unfinished and not resume:
        raise InputError(f"{folder} holds an unfinished run; add --resume to go on with it, or give another --out")
    if resume and not unfinished:
        raise InputError(f"{folder} holds no unfinished run; leave out --resume")


def remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a run that came to its end."""
    (folder / CHECKPOINT_NAME).unlink(missing_ok=True)
