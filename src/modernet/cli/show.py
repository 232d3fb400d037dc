"""`modernet show`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import tyro

from modernet.cli.options import parse
from modernet.cli.output import print_json, print_table, quantity, simple_table


@dataclass(frozen=True)
class Options:
    """Print a network stage by stage: output shape, parameters, multiply-accumulates, receptive field.

    Example: modernet show convnext_tiny
    """

    name: tyro.conf.Positional[str]
    """One of `modernet models`."""
    image_size: int | None = None
    """Side of the square picture in pixels; by default the published one."""
    json: bool = False
    """Print JSON: a list of objects, one a stage."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "show", arguments)

    import torch

    from modernet.benchmark import describe_stages
    from modernet.errors import InputError
    from modernet.models import MODELS, Backbone, create_model

    published = MODELS[options.name].published
    image_size = published.image_size if options.image_size is None else options.image_size
    if image_size < 1:
        raise InputError(f"image_size is {image_size}; give 1 or more")
    with torch.device("meta"):
        network = create_model(options.name)
        assert isinstance(network, Backbone)
        stages = describe_stages(network, image_size, MODELS[options.name].config.in_chans)
    if options.json:
        print_json([asdict(stage) for stage in stages])
        return
    columns = {"stage": False, "output": False, "parameters": True, "MACs": True, "receptive field": True}
    rows = [
        [
            stage.name,
            " x ".join(map(str, stage.shape)),
            quantity(stage.params),
            quantity(stage.macs),
            "whole picture" if stage.receptive_field is None else f"{stage.receptive_field} px",
        ]
        for stage in stages
    ]
    totals = sum(stage.params for stage in stages), sum(stage.macs for stage in stages)
    rows.append(["total", "", quantity(totals[0]), quantity(totals[1]), ""])
    print_table(simple_table(f"{options.name} at {image_size}x{image_size} ({published.source})", columns, rows))
