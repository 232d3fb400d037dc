"""`modernet weights`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from modernet.cli.options import parse
from modernet.cli.output import print_json, print_table, simple_table


@dataclass(frozen=True)
class Options:
    """List published weights: accuracy, licence and address.

    Examples:
      modernet weights 'convnext_tiny*'
      modernet weights --licence permissive
    """

    pattern: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[PATTERN]")] = "*"
    """A model, model.tag, or a shell pattern."""
    licence: str = "any"
    """any; permissive: free for any use, including commercial; or one licence, such as apache-2.0."""
    json: bool = False
    """Print JSON: a list of objects with name, address, num_classes, image_size, licence, top1 and more."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "weights", arguments)

    from modernet.catalogue import list_weights
    from modernet.errors import InputError

    entries = list_weights(options.pattern, licence=options.licence)
    if not entries:
        raise InputError(
            f"no published weights match {options.pattern!r} with licence {options.licence!r}; see modernet weights"
        )
    if options.json:
        print_json(
            [
                {"name": entry.name, "address": entry.file.url, **asdict(entry), "trained_on": entry.trained_on}
                for entry in entries
            ]
        )
        return
    columns = {"name": False, "trained on": False, "classes": True, "size": True, "top-1 %": True, "licence": False}
    columns["address"] = False
    rows = [
        [
            entry.name,
            entry.trained_on or "see the tag",
            str(entry.num_classes or "none"),
            str(entry.image_size),
            "" if entry.top1 is None else f"{entry.top1:.1f}",
            entry.licence or "not stated",
            entry.file.url,
        ]
        for entry in entries
    ]
    print_table(simple_table("Published weights; licences as their sources state them", columns, rows))
