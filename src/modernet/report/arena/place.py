"""The place of a run in the Long Range Arena, as the settings of its record store it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from modernet.errors import InputError
from modernet.records import Record

STUDY = "arena"


@dataclass(frozen=True)
class ArenaPlace:
    """A cell of the table.

    Attributes:
        size: of the tasks, `"nano"` or `"published"`.
        rules: digest of how every task is trained; runs of one table share it, whatever models and tasks it has.
        arena_task: the task, of `ARENA_TASKS`.
        pretraining: on the task's own inputs: None, `"masked"` or `"next"`; also in the record of the pre-training.
    """

    size: str
    rules: str
    arena_task: str
    pretraining: str | None

    def to_settings(self) -> dict[str, Any]:
        """Return the settings to add to the record of a run."""
        return {"study": STUDY, **asdict(self)}

    @classmethod
    def from_record(cls, record: Record) -> ArenaPlace:
        """Read the place of a run from its record.

        Raises:
            InputError: the record does not say where in the table it belongs.
        """
        names = [field.name for field in fields(cls)]
        for name in (*names, "data", "model"):
            if name not in record.settings:
                raise InputError(
                    f"the record {record.name!r} of an arena has no setting {name!r}; run the arena again to recreate "
                    "it"
                )
        return cls(**{name: record.settings[name] for name in names})


def belongs_to_an_arena(record: Record) -> bool:
    """Return whether a record is a training run of the arena."""
    return record.kind == "train" and record.settings.get("study") == STUDY
