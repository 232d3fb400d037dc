"""`modernet models`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from modernet.cli.options import parse
from modernet.cli.output import print_json, print_table, quantity, simple_table


@dataclass(frozen=True)
class Options:
    """List the networks: parameters, multiply-accumulates and published accuracy.

    Examples:
      modernet models 'convnext*'
      modernet models '*_test'          a tiny one of every family, to try things with
      modernet models 'timm:regnet*'    networks of timm, which every verb accepts by this name
    """

    pattern: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[PATTERN]")] = "*"
    """Shell pattern; by default all but the tiny ones."""
    json: bool = False
    """Print JSON: a list of objects with name, params, macs, image_size, top1, source; counts are exact."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "models", arguments)

    from modernet import progress
    from modernet.errors import unknown_name
    from modernet.models import MODELS, list_models

    names = [name for name in list_models(options.pattern) if options.pattern != "*" or not name.endswith("_test")]
    if not names:
        raise unknown_name("model", options.pattern, MODELS)
    with progress.shown():
        rows = [_row(name, recount=options.json) for name in progress.track(names, "counting", len(names))]
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


def _row(name: str, *, recount: bool) -> dict[str, Any]:
    """Return a network's row: with its published counts, which tests compare with ours, or with exact ones."""
    import torch

    from modernet.counting import Counts, count
    from modernet.models import create_model, get_entry

    entry = get_entry(name)
    published = entry.published
    if recount or published.params_m is None or published.gmacs is None:
        with torch.device("meta"):
            counts = count(create_model(name), published.image_size, entry.config.in_chans)
    else:
        counts = Counts(round(published.params_m * 1e6), round(published.gmacs * 1e9))
    return {
        "name": name,
        "params": counts.params,
        "macs": counts.macs,
        "image_size": published.image_size,
        "top1": published.top1,
        "source": published.source,
    }
