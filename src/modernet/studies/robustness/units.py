"""The units of a test of robustness, such as one severity of one corruption: each is finished once, in its own file."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modernet import progress
from modernet.errors import InputError, one_line
from modernet.files.atomic import check_writable, whole_file
from modernet.records import RECORD_NAME
from modernet.training import differences

Outcome = dict[str, Any]
"""What was measured in a unit, JSON-able; `kind` says how to read it."""
_IDENTITY_NAME = "robustness.json"
_UNITS = "units"


@dataclass(frozen=True)
class Unit:
    """A part of a test that is finished or not.

    Attributes:
        key: name of its file.
        title: for people.
        images: how many it shows to the network, for the time left.
        measure: does it; an `Interrupted` loses what it had done.
        identity: what decides its outcome besides the identity of the folder, JSON-able.
    """

    key: str
    title: str
    images: int
    measure: Callable[[], Outcome] = field(repr=False)
    identity: Mapping[str, Any] = field(default_factory=dict)


class UnitFolder:
    """The outcomes of the units of one network on some images.

    Args:
        path: the folder; it is created.
        identity: what decides the outcome of every unit: network, images, how they are prepared, seed. JSON-able.

    Raises:
        InputError: the folder holds another test, or something else, or cannot be written to.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        stored = path / _IDENTITY_NAME
        identity = json.loads(json.dumps(identity))  # as it is read
        known, begun = stored.is_file(), any((path / _UNITS).glob("*.json"))
        different = differences(_read(stored, "give another --out"), identity) if known and begun else []
        if different:
            raise InputError(
                f"{path} contains a test with {'; '.join(different[:3])}; give another --out, or remove it"
            )
        if not known and (begun or (path / RECORD_NAME).exists()):
            raise InputError(f"{path} contains another run, or a test without its {_IDENTITY_NAME}; give another --out")
        check_writable(path)
        _write(stored, identity)

    def finish(self, units: Sequence[Unit], title: str) -> None:
        """Measure the units that are not finished, in order.

        Args:
            title: of the whole, in the progress display.

        Raises:
            Interrupted: a unit was stopped; those before it are finished.
        """
        unfinished = [unit for unit in units if self._finished(unit) is None]
        done = len(units) - len(unfinished)
        if done:
            progress.say(f"{done} of {len(units)} parts in {self.path} are finished; measuring the others")
        with progress.bar(title, sum(unit.images for unit in unfinished)) as shown:
            for number, unit in enumerate(unfinished, done + 1):
                shown.advance(0, f"{number} of {len(units)}: {unit.title}")
                stored = {"identity": dict(unit.identity), "outcome": unit.measure()}
                _write(self._file(unit.key), stored)
                shown.advance(unit.images)

    def outcomes(self) -> list[Outcome]:
        """Return the outcomes of all units that were ever finished here, in the order of their names."""
        return [_read(file)["outcome"] for file in sorted((self.path / _UNITS).glob("*.json"))]

    def _finished(self, unit: Unit) -> Outcome | None:
        file = self._file(unit.key)
        if not file.is_file():
            return None
        stored = _read(file)
        return stored["outcome"] if stored["identity"] == dict(unit.identity) else None

    def _file(self, key: str) -> Path:
        return self.path / _UNITS / f"{key}.json"


def _write(file: Path, content: Mapping[str, Any]) -> None:
    with whole_file(file) as unfinished:
        unfinished.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


def _read(file: Path, remedy: str = "remove it, and it is measured again") -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {one_line(error)}; {remedy}") from error


def hits(correct: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return which images were answered correctly, JSON-able, in the order of their classes: so images are in the same
    order whether they are stored in one folder or in one for each class.

    Args:
        correct: bool (n,).
        labels: int64 (n,).
    """
    bits = np.packbits(correct[labels.argsort(stable=True)].numpy())
    return {"n": len(labels), "correct": base64.b64encode(bits.tobytes()).decode()}


def read_hits(outcome: Mapping[str, Any]) -> Tensor:
    """Return what `hits` stored, bool (n,)."""
    bits = np.frombuffer(base64.b64decode(outcome["correct"]), dtype=np.uint8)
    return torch.from_numpy(np.unpackbits(bits, count=outcome["n"]).astype(bool))
