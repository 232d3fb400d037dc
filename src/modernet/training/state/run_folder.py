"""Which folders a run may use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modernet import progress
from modernet.errors import InputError
from modernet.files.atomic import check_writable
from modernet.records import RECORD_NAME, Record, read_record
from modernet.training.state.checkpoint import has_checkpoint
from modernet.training.state.identity import differences, run_identity


def prepare_folder(folder: Path, *, resume: bool, restarted: bool = False) -> None:
    """Check that a run may use a folder, so that no run is resumed or overwritten by mistake.

    Args:
        resume: whether the user asked to resume; without a checkpoint, the run begins. See also `finished_run`.
        restarted: whether a launcher restarts a run that may or may not have reached a checkpoint.

    Raises:
        InputError: it contains a finished run, or an unfinished one without `resume`, or is not writable.
    """
    finished = (folder / RECORD_NAME).exists()
    if finished and not (resume or restarted):
        raise InputError(f"{folder} contains a finished run; give another --out, or remove it")
    check_writable(folder)
    if finished or restarted:
        return
    unfinished = has_checkpoint(folder)
    if unfinished and not resume:
        raise InputError(f"{folder} contains an unfinished run; add --resume to continue it, or give another --out")
    if resume and not unfinished:
        progress.say(f"{folder} contains no checkpoint: the run begins with its first step")


def finished_run(folder: Path, identity: Mapping[str, Any]) -> Record | None:
    """Return the record of a run if its folder contains one, without an error.

    Args:
        identity: of the run; see `run_identity`.

    Raises:
        InputError: it is the record of another run, or cannot be read.
    """
    if not (folder / RECORD_NAME).exists():
        return None
    record = read_record(folder / RECORD_NAME)
    if record.kind != "train":
        raise InputError(f"{folder} contains the record of modernet {record.kind}; give another --out")
    if record.error is not None:
        return None
    different = differences(run_identity(record.settings), identity)
    if different:
        raise InputError(
            f"{folder} contains a finished run with {'; '.join(different[:3])}; give another --out, or remove it"
        )
    return record
