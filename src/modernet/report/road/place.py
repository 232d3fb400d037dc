"""The place of a training run in a walk of the road, as the settings of its record store it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from modernet.errors import InputError
from modernet.records import Record

STUDY = "roadmap"


@dataclass(frozen=True)
class RoadPlace:
    """A step of the road.

    Attributes:
        size: which road: `"nano"`, `"tiny"`, `"base"`.
        row: number of the step; alternatives of one decision share the number: `"8a"`, `"8b"`.
        order: index of the step in the road.
        step: its name in code; `title` for people; `change` is what it changes, in one sentence.
        side_step: tried, but the road continued from another step.
        published_top1: the paper's ImageNet-1K top-1 in per cent; None if the paper has none.
        published_of: the networks behind the paper's values: `"ResNet-50 to ConvNeXt-T"`.
    """

    size: str
    row: str
    order: int
    step: str
    title: str
    change: str = ""
    side_step: bool = False
    published_top1: float | None = None
    published_of: str | None = None

    def to_settings(self) -> dict[str, Any]:
        """Return the settings to add to the record of a run."""
        return {"study": STUDY, **asdict(self)}

    @classmethod
    def from_record(cls, record: Record) -> RoadPlace:
        """Read the place of a run from its record.

        Raises:
            InputError: the record does not say which step of which road it is.
        """
        settings = record.settings
        for name in ("size", "row", "order", "data"):
            if name not in settings:
                raise InputError(
                    f"the record {record.name!r} of a road has no setting {name!r}; walk the road again to recreate it"
                )
        row = str(settings["row"])
        step = str(settings.get("step", row))
        return cls(
            size=settings["size"],
            row=row,
            order=settings["order"],
            step=step,
            title=str(settings.get("title", step)),
            change=str(settings.get("change", "")),
            side_step=bool(settings.get("side_step", False)),
            published_top1=settings.get("published_top1"),
            published_of=settings.get("published_of"),
        )


def belongs_to_a_road(record: Record) -> bool:
    """Return whether a record is a training run of a walk of the road."""
    return record.kind == "train" and record.settings.get("study") == STUDY
