"""What cannot be read: an error, or left out and listed."""

from __future__ import annotations

from modernet.errors import InputError
from modernet.progress import say

_MOST_LISTED = 20  # that are printed by name; the data set lists them all


class Skipped:
    """What was left out because it cannot be read.

    Args:
        things: what they are, in the plural: "rows".
        allowed: whether anything may be left out.
    """

    def __init__(self, things: str, allowed: bool) -> None:
        self._things, self._allowed = things, allowed
        self._reasons: dict[str, str] = {}  # by name, in order

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._reasons)

    def add(self, name: str, reason: str) -> None:
        """Leave something out, once however often it is met.

        Args:
            reason: what is wrong, after the name: "has no text".

        Raises:
            InputError: nothing may be left out.
        """
        if not self._allowed:
            raise InputError(
                f"{name} {reason}; repair it, remove it, or skip such {self._things} with skip_unreadable=True "
                "(--skip-unreadable)"
            )
        self._reasons[name] = reason

    def report(self, dataset: str) -> None:
        """Say what was left out."""
        if not self._reasons:
            return
        n = len(self._reasons)
        things = self._things if n > 1 else self._things.removesuffix("s")
        say(f"{dataset}: skipped {n} {things} that cannot be read:")
        for name, reason in list(self._reasons.items())[:_MOST_LISTED]:
            say(f"  {name} {reason}")
        if len(self._reasons) > _MOST_LISTED:
            say(f"  ... and {len(self._reasons) - _MOST_LISTED} more")
