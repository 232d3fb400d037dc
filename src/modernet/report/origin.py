"""Where the numbers of a section come from: data, devices, versions, commits, recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modernet.records import Record


@dataclass(frozen=True)
class Origin:
    """Where numbers come from.

    Attributes:
        facts: name -> distinct values.
        unreadable: names of what was skipped.
        recipes: heading of each distinct recipe: the runs that used it.
        leaves: setting -> its value in each of `recipes`.
    """

    facts: Mapping[str, Sequence[str]]
    unreadable: Sequence[str]
    recipes: Sequence[str]
    leaves: Mapping[str, Sequence[str]]


def origin(records: Sequence[Record], users: Sequence[str], heading: Callable[[Sequence[str]], str]) -> Origin:
    """Collect where the numbers of some records come from.

    Args:
        users: a name for each record, for the table of recipes.
        heading: joins the users of one recipe into the heading of its column.
    """
    environments = [record.environment for record in records]
    dates = sorted(str(environment["created"])[:10] for environment in environments if "created" in environment)
    versions = (
        f"{name} {version}"
        for environment in environments
        for name, version in sorted(environment.get("versions", {}).items())
    )
    data = [record.settings.get("data", {}) for record in records]
    failed = sum(record.error is not None for record in records)
    facts = {
        "Runs": [f"{len(records)}" + (f", of which {failed} failed" if failed else "")],
        "Data": _distinct(map(_data_line, data)),
        "Device": devices(records),
        "Platform": _distinct(environment.get("platform") for environment in environments),
        "Versions": _distinct(versions),
        "Commit": _distinct(environment.get("commit") for environment in environments),
        "Date": _distinct([dates[0], dates[-1]]) if dates else [],
    }
    unreadable = _distinct(name for summary in data for name in _unreadable(summary))
    known = {name: values for name, values in facts.items() if values}
    return Origin(known, unreadable, *_recipes(records, users, heading))


def devices(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the distinct devices of some runs: `"NVIDIA H200"`, `"CPU, 1 thread, 2 concurrent runs"`."""
    environments = [record.environment for record in records if record.environment.get("device")]
    return tuple(dict.fromkeys(str(environment["device"]) + _concurrency(environment) for environment in environments))


def setting_value(value: object) -> str:
    """Format the value of a setting: None is `off`, floats are as short as they were typed."""
    return "off" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _concurrency(environment: Mapping[str, Any]) -> str:
    workers = environment.get("workers", 1)
    return f", {workers} concurrent runs" if workers > 1 else ""


def _distinct(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value))


def _data_line(data: Mapping[str, Any]) -> str:
    facts = dict(data) | {"unreadable": len(_unreadable(data)) or data.get("unreadable") or None}
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)


def _unreadable(data: Mapping[str, Any]) -> list[str]:
    """Return the names of the skipped images; empty if an early record has only their number."""
    names = data.get("unreadable")
    return names if isinstance(names, list) else []


def _recipes(
    records: Sequence[Record], users: Sequence[str], heading: Callable[[Sequence[str]], str]
) -> tuple[list[str], dict[str, list[str]]]:
    """Return the distinct recipes: a heading for each, and their values setting by setting."""
    distinct: list[tuple[dict[str, Any], list[str]]] = []
    for record, user in zip(records, users, strict=True):
        recipe = record.settings.get("recipe")
        if not recipe:
            continue
        for known, names in distinct:
            if known == recipe:
                if user not in names:
                    names.append(user)
                break
        else:
            distinct.append((recipe, [user]))
    leaves = dict.fromkeys(leaf for recipe, _ in distinct for leaf in recipe)
    headings = [heading(names) for _, names in distinct]
    return headings, {leaf: [setting_value(recipe.get(leaf)) for recipe, _ in distinct] for leaf in leaves}
