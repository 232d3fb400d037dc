"""`modernet show`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from modernet.cli.networks import check_model
from modernet.cli.options import parse
from modernet.cli.output import print_json, print_table, quantity, simple_table
from modernet.errors import InputError
from modernet.records import is_run_path, read_network


@dataclass(frozen=True)
class Options:
    """Describe a network: output, parameters, multiply-accumulates and receptive field of every stage.

    Example: modernet show convnext_tiny
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """One of `modernet models`."""
    image_size: int | None = None
    """Side of the square image in pixels; by default the published size."""
    json: bool = False
    """Print JSON: a list of objects, one per stage."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "show", arguments)

    if is_run_path(options.name):
        model = read_network(Path(options.name))["spec"]["name"]
        raise InputError(f"networks are described by name: modernet show {model}; the run, by modernet report")
    check_model(options.name)

    from modernet.catalogue import all_networks

    facts = all_networks().get(options.name)
    if facts is None or options.image_size not in (None, facts.image_size):
        from modernet.counting import network_facts  # needs torch

        facts = network_facts(options.name, options.image_size)
    if options.json:
        print_json([asdict(stage) for stage in facts.stages])
        return
    print(f"{facts.about}\n")
    columns = {"stage": False, "output": False, "parameters": True, "MACs": True, "receptive field": True}
    rows = [
        [
            stage.name,
            " x ".join(map(str, stage.shape)),
            quantity(stage.params),
            quantity(stage.macs),
            "whole image" if stage.receptive_field is None else f"{stage.receptive_field} px",
        ]
        for stage in facts.stages
    ]
    rows.append(["total", "", quantity(facts.params), quantity(facts.macs), ""])
    print_table(
        simple_table(f"{options.name} at {facts.image_size}x{facts.image_size} ({facts.source})", columns, rows)
    )
