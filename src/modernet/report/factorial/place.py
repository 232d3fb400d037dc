"""The place of a training run in a factorial study, as the settings of its record store it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from modernet.errors import InputError
from modernet.records import Record

STUDY = "factorial"


@dataclass(frozen=True)
class FactorialPlace:
    """A network of a factorial study.

    Attributes:
        size: of the road that the decisions are from.
        network: index of the network in the study.
        networks: number of networks of the complete study.
        decisions: name of each decision -> its title for people.
        levels: +1 for each decision that is on, -1 for each that is off.
    """

    size: str
    network: int
    networks: int
    decisions: Mapping[str, str]
    levels: Mapping[str, int]

    def to_settings(self) -> dict[str, Any]:
        """Return the settings to add to the record of a run."""
        return {"study": STUDY, **asdict(self)}

    @classmethod
    def from_record(cls, record: Record) -> FactorialPlace:
        """Read the place of a run from its record.

        Raises:
            InputError: the record does not say which network of which study it is.
        """
        names = [field.name for field in fields(cls)]
        for name in (*names, "data", "recipe"):
            if name not in record.settings:
                raise InputError(
                    f"the record {record.name!r} of a factorial study has no setting {name!r}; run the study again to "
                    "recreate it"
                )
        return cls(**{name: record.settings[name] for name in names})


def belongs_to_a_factorial(record: Record) -> bool:
    """Return whether a record is a training run of a factorial study."""
    return record.kind == "train" and record.settings.get("study") == STUDY
