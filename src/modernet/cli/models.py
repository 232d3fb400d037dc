"""`modernet models`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from modernet.cli.options import parse
from modernet.cli.output import print_json, print_table, quantity, simple_table
from modernet.errors import InputError

if TYPE_CHECKING:
    from modernet.catalogue import NetworkFacts


@dataclass(frozen=True)
class Options:
    """List the networks: parameters, multiply-accumulates and published accuracy.

    Examples:
      modernet models 'convnext*'
      modernet models '*_test'          a tiny one of every family, to try things with
      modernet models 'timm:regnet*'    networks of timm, which every verb accepts by this name
      modernet models --sequences       those for sequences, with their sources
      modernet models --points          those for point clouds
    """

    pattern: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[PATTERN]")] = "*"
    """Shell pattern; by default all but the tiny ones."""
    sequences: bool = False
    """List the models for sequences instead: see modernet train --recipe sequences."""
    points: bool = False
    """List the models for point clouds instead: see modernet train --recipe points."""
    json: bool = False
    """Print JSON: a list of objects with name, params, macs, image_size, top1, source; of models for sequences and
    point clouds with name and source."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "models", arguments)
    if options.sequences and options.points:
        raise InputError("--sequences and --points are two lists; give one of them")
    if options.sequences or options.points:
        _list_other_models(options)
        return

    from modernet.catalogue import TIMM_PREFIX, all_networks, list_networks
    from modernet.errors import unknown_name

    if options.pattern.startswith(TIMM_PREFIX):
        found = _networks_of_timm(options.pattern)
    else:
        found = list_networks(options.pattern)
    rows = [_row(facts) for facts in found if options.pattern != "*" or not facts.name.endswith("_test")]
    if not rows:
        raise unknown_name("model", options.pattern, all_networks())
    if options.json:
        print_json(rows)
        return
    columns = {"model": False, "parameters": True, "MACs": True, "size": True, "top-1 %": True, "source": False}
    table = simple_table(
        "Published ImageNet-1K top-1; MACs are for one image of the given size",
        columns,
        [
            [
                row["name"],
                quantity(row["params"]),
                quantity(row["macs"]),
                str(row["image_size"]),
                "" if row["top1"] is None else f"{row['top1']:.1f}",
                row["source"],
            ]
            for row in rows
        ],
    )
    print_table(table)


def _list_other_models(options: Options) -> None:
    from modernet import progress

    with progress.shown(), progress.bar("starting", 1):
        from modernet.points.zoo import point_models
        from modernet.sequences.zoo import sequence_models

    found = point_models(options.pattern) if options.points else sequence_models(options.pattern)
    rows = [{"name": entry.name, "source": entry.source} for entry in found]
    if options.json:
        print_json(rows)
        return
    columns = {"model": False, "source": False}
    title = f"Models for {'point clouds' if options.points else 'sequences'}"
    print_table(simple_table(title, columns, [list(row.values()) for row in rows]))


def _row(facts: NetworkFacts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in ("name", "params", "macs", "image_size", "top1", "source")}


def _networks_of_timm(pattern: str) -> list[NetworkFacts]:
    """Count networks of timm, which are in no catalogue of ours."""
    from modernet import progress
    from modernet.catalogue import list_models
    from modernet.counting import network_facts

    names = list_models(pattern)
    with progress.shown():
        return [network_facts(name) for name in progress.track(names, "counting", len(names))]
