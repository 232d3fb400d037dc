"""How much of a budget goes into measuring candidates, before any is trained."""

from __future__ import annotations

import math
from collections.abc import Callable

from modernet.errors import InputError

_SHARE = 1 / 3
"""Part of the budget after which nothing is measured more closely than it has to be."""


class Allowance:
    """The time for measuring: in a hurry after a third of the budget, and over with the budget.

    Args:
        candidates: how many are measured: each is opened, then its inference is measured, then its training.
        budget_seconds: time for everything.
        spent: returns the seconds used so far.
        asked_to_stop: returns whether the user asked to stop.
    """

    def __init__(
        self, candidates: int, budget_seconds: float, spent: Callable[[], float], asked_to_stop: Callable[[], bool]
    ) -> None:
        self._candidates, self._budget_s = candidates, budget_seconds
        self._spent, self._asked_to_stop = spent, asked_to_stop
        self._measured = 0

    def hurry(self) -> bool:
        """Return whether to measure only what has not been measured yet."""
        return not self.allows(0.0)

    def allows(self, seconds: float) -> bool:
        """Return whether something that is not necessary may take so long."""
        return self._spent() + seconds < _SHARE * self._budget_s

    def stop(self) -> bool:
        """Return whether to stop: the user asked for it, or the budget is spent."""
        return self._asked_to_stop() or self._spent() >= self._budget_s

    def count(self) -> None:
        """Note that the inference of one more candidate was measured."""
        self._measured += 1

    def too_short(self) -> InputError:
        """Return the error of a budget that was over while candidates were measured; it says which one to give."""
        expected = self._spent() * 3 * self._candidates / (self._candidates + self._measured)
        return InputError(
            f"the budget of {_duration(self._budget_s)} was over before all {self._candidates} candidates were "
            f"measured; give --budget {_duration(expected / _SHARE)} or more, or fewer --candidates"
        )


def _duration(seconds: float) -> str:
    """Format a time as `--budget` takes it, rounded up: `50s`, `4min`."""
    return f"{math.ceil(seconds)}s" if seconds <= 60 else f"{math.ceil(seconds / 60)}min"
