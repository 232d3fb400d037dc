"""`modernet convert`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from modernet.cli.options import parse


@dataclass(frozen=True)
class Options:
    """Convert weights to the names of another project. Values are not changed.

    Example: modernet convert convnext_tiny_1k_224_ema.pth tiny.safetensors --to timm
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """File of weights, or folder of save_pretrained, with the names of any of these projects."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TARGET")]
    """File to write: .safetensors or .pth."""
    to: str
    """Project: original, timm, torchvision, transformers or openmmlab."""
    entry: str | None = None
    """Where the weights are, if a checkpoint has several sets: keys and prefix of the names, such as model.student."""
    model: str | None = None
    """Network of the weights; by default, it is recognised by their names and shapes."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "convert", arguments)

    from modernet import progress
    from modernet.weights import convert

    with progress.shown():
        model, source = convert(options.source, options.target, options.to, model=options.model, entry=options.entry)
    print(f"{options.target}: {model}, from {source}'s names to {options.to}'s")
