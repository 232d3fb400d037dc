"""Which class of a network each class of some data is: by name, by ImageNet's synset, by index, or as a file says."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from modernet.catalogue import imagenet_classes, imagenet_synsets
from modernet.errors import InputError
from modernet.evaluation.class_map import Entry, read_class_map
from modernet.progress import say
from modernet.weights.pretrained import class_names, class_synsets

_SYNSET = re.compile(r"n\d{8}")
_INNER_SYNSET = re.compile(r"(?<![a-z0-9])n\d{8}(?!\d)", re.IGNORECASE)  # n01440764_tench, N01440764
_NUMBER = re.compile(r"[0-9]+")
_MOST_NAMED = 3
_Table = dict[str, list[int]]


@dataclass(frozen=True)
class ClassMatch:
    """Classes of data, found among those of a network.

    Attributes:
        numbers: class i of the data is class `numbers[i]` of the network.
        words: how that was found: `by name`, `by synset`, `by index`, `by my_map.csv`.
    """

    numbers: tuple[int, ...]
    words: str


def match_classes(
    known: tuple[str, ...],
    found: tuple[str, ...],
    data_name: str,
    class_map: Path | None = None,
    *,
    quiet: bool = False,
) -> ClassMatch:
    """Find the classes of data among those of a network, and say in one line how many they are and how they were found.

    A name matches in any case, with `_` for a space: the whole name, or any of the several that ImageNet has for a
    class, the first of which goes before the others; or its synset (`n01440764`). Where all classes of the data are
    numbers and the network has published weights, they are indices of its outputs.

    Args:
        known: the classes of the network, by its outputs.
        found: the classes of the data that have images, each once.
        data_name: the name of the data in messages.
        class_map: a file that `read_class_map` reads, with some or all classes of the data, and for each the name, the
            synset or the index of a class of the network. Only there can two classes of the data be the same one.
        quiet: whether nothing is said.

    Raises:
        InputError: a class is not one of the network's, could be several of them, or is the same one as another; or the
            class map is broken, or has none of the classes.
    """
    network = _Network(known)
    entries = {} if class_map is None else read_class_map(class_map)
    numbers = {name: network.meant_by(entries[name]) for name in found if name in entries}
    ways = []
    if class_map is not None:
        if not numbers:
            raise InputError(f"{class_map} has none of the classes of {data_name}, such as {found[0]!r}; correct it")
        unused = [name for name in entries if name not in numbers]
        if unused and not quiet:
            say(f"{class_map}: {len(unused)} of its {len(entries)} classes not in {data_name}, such as {unused[0]!r}")
        ways.append(f"by {class_map.name}")
    rest = [name for name in found if name not in numbers]
    if rest:
        places = {name: place for place, name in enumerate(found)} if len(found) == len(known) else {}
        try:
            way, of_rest = network.find(rest, places)
            _check_distinct(network, of_rest)
        except _Unmatched as error:
            what, remedy = error.args
            raise InputError(f"{data_name} has images of the class {what}; {remedy}, or give a --class-map") from error
        numbers |= of_rest
        ways.append(way)
    match = ClassMatch(tuple(numbers[name] for name in found), " and ".join(ways))
    if set(found) != set(known) and not quiet:
        say(f"{data_name}: {len(set(match.numbers))} of the network's {len(known)} classes, matched {match.words}")
    return match


class _Unmatched(Exception):
    """A class that is not one of a network's. Its arguments: what is wrong with its name, and what to do about it."""


class _Network:
    """The classes of a network, and how to find one.

    Args:
        known: by its outputs.
    """

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known, self._own = known, frozenset(known)
        self._published = known == class_names(len(known))

    def find(self, names: Sequence[str], places: Mapping[str, int]) -> tuple[str, dict[str, int]]:
        """Return how classes of data are matched, and the number of each.

        Args:
            places: the place of each in the data, where it has as many as the network; it decides between namesakes.

        Raises:
            _Unmatched: one of them is not one of the network's, or could be several.
        """
        numbered = self._published or self._synsets == imagenet_synsets()
        indices = numbered and all(map(_NUMBER.fullmatch, names))
        found, ways = {}, {}
        for name in names:
            ways[name], found[name] = self._find(name, indices=indices, place=places.get(name))
        return " and ".join(dict.fromkeys(ways.values())), found

    def meant_by(self, entry: Entry) -> int:
        """Return the class that an entry of a class map means.

        Raises:
            InputError: there is none, or there are several.
        """
        try:
            return self._find(entry.meant, indices=True)[1]
        except _Unmatched as error:
            raise InputError(f"{entry.where} names the class {error.args[0]}; correct it") from error

    def describe(self, number: int) -> str:
        """Return the name of a class, with its synset where it has one: `n02012849 (crane)`."""
        synset, name = self._synsets[number], self._names[number]
        return f"{synset} ({name})" if synset else repr(name)

    def _find(self, name: str, *, indices: bool, place: int | None = None) -> tuple[str, int]:
        if self._of_synset and _SYNSET.fullmatch(name):
            return "by synset", self._by_synset(name)
        if indices and name not in self._own and _NUMBER.fullmatch(name):
            return "by index", self._by_index(name)
        return "by name", self._by_name(name, place)

    def _by_synset(self, name: str) -> int:
        if name not in self._of_synset:
            raise _Unmatched(f"{name!r}, a synset that the network does not have", "leave those images out")
        return self._of_synset[name]

    def _by_index(self, name: str) -> int:
        if int(name) >= len(self.known):
            raise _Unmatched(f"{name!r}, and the network has 0 to {len(self.known) - 1}", "leave those images out")
        return int(name)

    def _by_name(self, name: str, place: int | None) -> int:
        candidates = self._named(name)
        if len(candidates) == 1:
            return candidates[0]
        # namesakes: the Hub's ImageNet has `crane` and `crane2`
        if place is not None and _folded(_first(self._names[place])) == _folded(name).rstrip("0123456789"):
            return place
        if candidates:
            several = " or ".join(map(self.describe, candidates))
            raise _Unmatched(f"{name!r}, which could be {several}", "name it by its synset")
        inner = _INNER_SYNSET.search(name)
        if inner and inner[0].lower() in self._of_synset:
            number = self._of_synset[inner[0].lower()]
            raise _Unmatched(
                f"{name!r}, and the network does not know it, only {self.describe(number)}",
                f"name it {inner[0].lower()}",
            )
        near = self._near(_folded(name))
        if near:
            nearest = dict.fromkeys(self.describe(number) for key in near for number in self._by_any_name[key])
            raise _Unmatched(
                f"{name!r}, and the network does not know it, the nearest being {', '.join(nearest)}",
                "rename it, leave those images out",
            )
        raise _Unmatched(
            f"{name!r}, and the network does not know it, only {len(self.known)} others, such as {self.known[0]!r}",
            "leave those images out",
        )

    def _near(self, folded: str) -> list[str]:
        """Return the names nearest to one: those with it as a word, or that are words of it, then by spelling."""
        names = self._by_any_name
        words = [known for known in names if f" {folded} " in f" {known} " or f" {known} " in f" {folded} "]
        spelt = difflib.get_close_matches(folded, names, n=_MOST_NAMED, cutoff=0.6)
        return list(dict.fromkeys([*words, *spelt]))[:_MOST_NAMED]

    def _named(self, name: str) -> Sequence[int]:
        """Return the classes that a name fits best."""
        first = _first(name)
        keys = (_spaced(name), _folded(name), first, _folded(first))
        tables = list(zip((*self._by_whole_name, *self._by_first_name), keys, strict=True))
        if self._published and first == keys[0]:  # `maillot` is the whole name of one, but as well the first of another
            tables = tables[2:]
        tables.append((self._by_any_name, _folded(first)))
        return next((table[key] for table, key in tables if key in table), ())

    @cached_property
    def _synsets(self) -> tuple[str, ...]:
        """The synset of each class; empty where it is unknown."""
        if self._published:
            return class_synsets(len(self.known)) or ("",) * len(self.known)
        names = Counter(imagenet_classes())
        of_name = {
            name: synset
            for name, synset in zip(imagenet_classes(), imagenet_synsets(), strict=True)
            if names[name] == 1
        }
        return tuple(name if _SYNSET.fullmatch(name) else of_name.get(name, "") for name in self.known)

    @cached_property
    def _of_synset(self) -> dict[str, int]:
        return {synset: number for number, synset in enumerate(self._synsets) if synset}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """The name of each class; of one that is called by its synset, ImageNet's."""
        of_synset = dict(zip(imagenet_synsets(), imagenet_classes(), strict=True))
        return tuple(of_synset.get(name, name) for name in self.known)

    @cached_property
    def _by_whole_name(self) -> tuple[_Table, _Table]:
        """As it is, and in lower case."""
        return _table([[_spaced(name)] for name in self._names]), _table([[_folded(name)] for name in self._names])

    @cached_property
    def _by_first_name(self) -> tuple[_Table, _Table]:
        """As it is, and in lower case."""
        firsts = [_first(name) for name in self._names]
        return _table([[name] for name in firsts]), _table([[_folded(name)] for name in firsts])

    @cached_property
    def _by_any_name(self) -> _Table:
        """In lower case."""
        return _table([[_folded(each) for each in name.split(",")] for name in self._names])


def _check_distinct(network: _Network, numbers: Mapping[str, int]) -> None:
    """Check that no class is the same one as another.

    Raises:
        _Unmatched: one is.
    """
    names: dict[int, str] = {}
    for name, number in numbers.items():
        other = names.setdefault(number, name)
        if other != name:
            raise _Unmatched(f"{name!r}, and {other!r} too is the network's {network.describe(number)}", "rename one")


def _table(keys_of: Sequence[Sequence[str]]) -> _Table:
    """Return the classes of each key, from the keys of each class."""
    table: _Table = {}
    for number, keys in enumerate(keys_of):
        for key in dict.fromkeys(keys):
            table.setdefault(key, []).append(number)
    return table


def _first(name: str) -> str:
    return _spaced(name.partition(",")[0])


def _spaced(name: str) -> str:
    """Return a name with one space between its words."""
    return " ".join(name.replace("_", " ").split())


def _folded(name: str) -> str:
    return _spaced(name).casefold()
