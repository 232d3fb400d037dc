"""Training curves: JSON lines in the run's folder, and optionally one of accelerate's experiment trackers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modernet.errors import InputError, unknown_name
from modernet.files.atomic import whole_file

CURVES_NAME = "metrics.jsonl"


class Curves:
    """Log the metrics of a run, one point per call, in the order of its steps.

    Args:
        folder: the run's folder, which receives `metrics.jsonl` and the files of trackers that write any.
        trackers: names of accelerate's trackers, separated by commas.
        name: the run's name in the trackers.
        settings: the run's configuration in the trackers.
        step: the step at which the run starts or resumes; points of later steps are dropped, because they are repeated.

    Raises:
        InputError: a tracker is unknown, or its package or accelerate is not installed.
    """

    def __init__(self, folder: Path, trackers: str, name: str, settings: Mapping[str, Any], step: int) -> None:
        self._path = folder / CURVES_NAME
        folder.mkdir(parents=True, exist_ok=True)
        self._trackers = [_tracker(tracker.strip(), name, folder) for tracker in trackers.split(",") if tracker.strip()]
        for tracker in self._trackers:
            tracker.start()
            tracker.store_init_configuration({key: _plain(value) for key, value in settings.items()})
        if self._path.exists():
            kept = [line for line in self._path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
            with whole_file(self._path) as unfinished:
                unfinished.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values after a step; all of them must be finite."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}, allow_nan=False) + "\n")
        for tracker in self._trackers:
            tracker.log(dict(values), step=step)

    def close(self) -> None:
        for tracker in self._trackers:
            tracker.finish()


def _tracker(name: str, run: str, folder: Path) -> Any:
    try:
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    except ModuleNotFoundError as error:
        raise InputError(
            f"the tracker {name} needs accelerate, which is not installed; pip install 'modernet[trackers]'"
        ) from error
    if name not in LOGGER_TYPE_TO_CLASS:
        raise unknown_name("tracker", name, LOGGER_TYPE_TO_CLASS)
    if name not in {str(available) for available in get_available_trackers()}:
        raise InputError(f"the tracker {name} needs its package, which is not installed; pip install {name}")
    PartialState()  # trackers ask it whether they run in the main process
    kind = LOGGER_TYPE_TO_CLASS[name]
    return kind(run, logging_dir=str(folder)) if kind.requires_logging_directory else kind(run)


def _step_of(line: str) -> float:
    """Return the step of a line, or infinity for a line that a crash cut short."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
