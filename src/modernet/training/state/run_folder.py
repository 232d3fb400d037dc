"""Which folders a run may use."""

from __future__ import annotations

from pathlib import Path

from modernet import progress
from modernet.errors import InputError
from modernet.files.atomic import check_writable
from modernet.records import RECORD_NAME
from modernet.training.state.checkpoint import has_checkpoint


def prepare_folder(folder: Path, *, resume: bool, restarted: bool = False) -> None:
    """Check that a run may use a folder, so that no run is resumed or overwritten by mistake.

    Args:
        resume: whether the user asked to resume; without a checkpoint, the run begins.
        restarted: whether a launcher restarts a run that may or may not have reached a checkpoint.

    Raises:
        InputError: it contains a finished run, or an unfinished one without `resume`, or is not writable.
    """
    if (folder / RECORD_NAME).exists():
        raise InputError(f"{folder} contains a finished run; give another --out, or remove it")
    check_writable(folder)
    if restarted:
        return
    unfinished = has_checkpoint(folder)
    if unfinished and not resume:
        raise InputError(f"{folder} contains an unfinished run; add --resume to continue it, or give another --out")
    if resume and not unfinished:
        progress.say(f"{folder} contains no checkpoint: the run begins with its first step")
