"""`modernet show`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from modernet.cli.options import parse
from modernet.cli.output import print_json, print_table, quantity, simple_table


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

    import torch

    from modernet.counting import count, describe_stages
    from modernet.errors import InputError
    from modernet.models import Backbone, create_model, get_entry

    entry = get_entry(options.name)
    image_size = entry.published.image_size if options.image_size is None else options.image_size
    if image_size < 1:
        raise InputError(f"image_size is {image_size}; give 1 or more")
    with torch.device("meta"):
        network = create_model(options.name)
        assert isinstance(network, Backbone)
        whole = count(network, image_size, entry.config.in_chans)
        # a network of another library has no stages that we know
        stages = [] if network.wrapped_name else describe_stages(network, image_size, entry.config.in_chans)
    if options.json:
        print_json([asdict(stage) for stage in stages])
        return
    print(f"{entry.about}\n")
    columns = {"stage": False, "output": False, "parameters": True, "MACs": True, "receptive field": True}
    rows = [
        [
            stage.name,
            " x ".join(map(str, stage.shape)),
            quantity(stage.params),
            quantity(stage.macs),
            "whole image" if stage.receptive_field is None else f"{stage.receptive_field} px",
        ]
        for stage in stages
    ]
    rows.append(["total", "", quantity(whole.params), quantity(whole.macs), ""])
    print_table(simple_table(f"{options.name} at {image_size}x{image_size} ({entry.published.source})", columns, rows))
