"""`modernet convert`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from modernet.cli.options import parse


@dataclass(frozen=True)
class Options:
    """Write weights under the names of another project. Every number stays as it is.

    Example: modernet convert convnext_tiny_1k_224_ema.pth tiny.safetensors --to timm
    """

    source: tyro.conf.Positional[Path]
    """File of weights, in any scheme that is known."""
    target: tyro.conf.Positional[Path]
    """File to write: .safetensors or .pth."""
    to: str
    """Whose names: original, timm, torchvision, transformers or openmmlab."""
    model: str | None = None
    """Network that the weights belong to; by default it is found by their names and shapes."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "convert", arguments)

    from modernet import progress
    from modernet.weights import convert

    with progress.shown():
        model, source = convert(options.source, options.target, options.to, model=options.model)
    print(f"{options.target}: {model}, from {source}'s names to {options.to}'s")
