"""`modernet models`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tyro

from modernet.cli.options import parse
from modernet.cli.output import print_json, print_table, quantity, simple_table


@dataclass(frozen=True)
class Options:
    """List the networks with parameters, multiply-accumulates and published accuracy.

    Example: modernet models 'convnext*'
    """

    pattern: tyro.conf.Positional[str] = "*"
    """Which ones, as a shell pattern."""
    json: bool = False
    """Print JSON: a list of objects with name, params, macs, image_size, top1, source."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "models", arguments)

    import torch

    from modernet.benchmark import count
    from modernet.errors import unknown_name
    from modernet.models import MODELS, create_model, list_models

    names = list_models(options.pattern)
    if not names:
        raise unknown_name("model", options.pattern, MODELS)
    rows: list[dict[str, Any]] = []
    for name in names:
        published = MODELS[name].published
        with torch.device("meta"):
            counts = count(create_model(name), published.image_size, MODELS[name].config.in_chans)
        rows.append(
            {
                "name": name,
                "params": counts.params,
                "macs": counts.macs,
                "image_size": published.image_size,
                "top1": published.top1,
                "source": published.source,
            }
        )
    if options.json:
        print_json(rows)
        return
    columns = {"model": False, "parameters": True, "MACs": True, "size": True, "top-1 %": True, "source": False}
    table = simple_table(
        "Published ImageNet-1K top-1; MACs computed for one picture of the size given",
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
