"""Records: what was run and what came out, as JSON. The only thing that travels from a run to a report."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from modernet.errors import InputError
from modernet.files.atomic import whole_file

RECORD_NAME = "record.json"
SCHEMA = 1
_VERSIONED = ("modernet", "torch", "torchvision", "timm", "triton", "accelerate", "numpy")


@dataclass(frozen=True)
class Record:
    """One finished run.

    Attributes:
        kind: what sort of run: `"train"`, `"evaluate"`, ...
        name: the run in a few words, for a table's row.
        settings: all that is needed to run it again: model, data, recipe, seed; for a study, the step it belongs to.
        metrics: what came out, by name with its unit (`test_top1` in per cent, `train_images_per_second`).
            How many samples stand behind an accuracy is a metric of its own (`test_n`).
        history: one row of metrics an epoch, in order.
        environment: date, versions, device and commit, as `environment()` gives them.
        error: why the run failed, in one line; None for a run that came to its end.
    """

    kind: str
    name: str
    settings: dict[str, Any]
    metrics: dict[str, float]
    history: list[dict[str, float]] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    schema: int = SCHEMA

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the record as JSON, whole or not at all.

        Raises:
            ValueError: a metric is not finite. A record never holds NaN, which is not JSON.
        """
        text = json.dumps(asdict(self), indent=1, allow_nan=False)
        with whole_file(path) as unfinished:
            unfinished.write_text(text + "\n", encoding="utf-8")


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read one record.

    Raises:
        InputError: the file is missing, is not a record, or was written by a newer modernet.
    """
    try:
        fields = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the record {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not a record: {error}") from error
    if not isinstance(fields, dict) or "schema" not in fields:
        raise InputError(f"{path} is not a record: it has no field 'schema'")
    if fields["schema"] != SCHEMA:
        raise InputError(f"{path} has schema {fields['schema']}; this modernet reads schema {SCHEMA}: upgrade modernet")
    try:
        return Record(**fields)
    except TypeError as error:
        raise InputError(f"{path} is not a record: {error}") from error


def read_records(folder: str | os.PathLike[str]) -> list[Record]:
    """Every record (`record.json`) in a folder and below it, in the order of their paths.

    Raises:
        InputError: the folder does not exist, or holds no record.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"there is no folder {folder}; give the folder that a run wrote, such as runs/roadmap")
    paths = sorted(root.rglob(RECORD_NAME))
    if not paths:
        raise InputError(f"no {RECORD_NAME} in {folder} or below it; give the folder that a run wrote")
    return [read_record(path) for path in paths]


def environment(device: str) -> dict[str, Any]:
    """Date, versions, machine and commit of this process.

    Args:
        device: the device in words, as the caller knows it: `"NVIDIA H200"`, `"CPU, 2 threads"`.
    """
    versions = {"python": platform.python_version()}
    for package in _VERSIONED:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of the checkout that this package runs from; None for an installed package."""
    here = Path(__file__).parent
    if not (here.parents[1] / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
