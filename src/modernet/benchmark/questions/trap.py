"""A choice that may cost speed."""

from __future__ import annotations

from dataclasses import dataclass

from modernet.machine.timing import Ratio


@dataclass(frozen=True)
class Trap:
    """A choice that may cost speed.

    Attributes:
        choice: such as `convnext_tiny: layout contiguous instead of channels_last`.
        cost: its time relative to the better choice, with the 95 % interval; None if it was not timed.
        fix: what to do instead, in one line.
        note: what is known of it if it was not timed, or why it was not.
    """

    choice: str
    cost: Ratio | None = None
    fix: str = ""
    note: str = ""

    @property
    def is_trap(self) -> bool:
        """Whether it costs time beyond the noise: the interval of the cost is above 1."""
        return self.cost is not None and self.cost.low > 1.0
