"""Names -> entries: models, recipes, steps. Names are unique; an unknown one suggests similar ones."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from modernet.errors import unknown_name

Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry], Generic[Entry]):
    """A read-only mapping from names to entries, filled with `add` at import.

    Args:
        kind: a singular noun for its entries, for messages: `"model"`.

    >>> ages = Registry[int]("network")
    >>> ages.add("lenet", 1989)
    >>> ages["lennet"]
    Traceback (most recent call last):
    modernet.errors.InputError: no network is called 'lennet'; did you mean lenet?
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, entry: Entry) -> None:
        """Register `entry` under `name`.

        Raises:
            KeyError: the name is taken, which is a bug and not a mistake of the user.
        """
        if name in self._entries:
            raise KeyError(f"{self.kind} {name!r} is registered twice")
        self._entries[name] = entry

    def __getitem__(self, name: str) -> Entry:
        """Return the entry with a name.

        Raises:
            InputError: there is no such entry; the message suggests similar names.
        """
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def names(self, pattern: str = "*") -> list[str]:
        """Return the names that match a shell pattern such as `"convnext*"`, in order of registration."""
        return fnmatch.filter(self._entries, pattern)
