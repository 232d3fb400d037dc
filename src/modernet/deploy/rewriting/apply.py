"""All rewrites, one after another, each kept only if the network still gives the same results."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modernet.deploy.agreement import TOLERANCE, disagreement
from modernet.deploy.rewriting.rewrites import (
    fold_layer_norm_affines,
    fold_layer_scales,
    fold_norms_back,
    fold_norms_forward,
    merge_branches,
    put_heads_first,
)
from modernet.errors import one_line
from modernet.preparation import Size

REWRITES: tuple[tuple[str, Callable[[nn.Module, Tensor], int]], ...] = (
    ("parallel branches merged", merge_branches),
    ("BatchNorms folded into the layer before", fold_norms_back),
    ("BatchNorms folded into the layers after", fold_norms_forward),
    ("LayerNorm affines folded into the layers after", fold_layer_norm_affines),
    ("layer scales folded into the layer before", fold_layer_scales),
    ("heads of shifted windows put first", put_heads_first),
)


@dataclass(frozen=True)
class Rewrite:
    """One kind of rewrite: how often it was applied, or why it was not kept."""

    name: str
    count: int
    failure: str = ""


def apply_rewrites(
    network: nn.Module, images: Tensor, check: Callable[[nn.Module], str]
) -> tuple[nn.Module, list[Rewrite]]:
    """Return a copy of a network with every rewrite that passes the check, and what was done.

    Args:
        network: left unchanged.
        images: `(b, c, h, w)`, the input of the forward pass that is traced.
        check: returns one line about what is wrong with a rewritten network; empty if nothing is.
    """
    rewrites = []
    for name, rewrite in REWRITES:
        changed = copy.deepcopy(network)
        count = rewrite(changed, images)
        changed.requires_grad_(False)
        try:
            failure = check(changed) if count else ""
        except Exception as error:  # a forward pass may rely on a parameter that was removed, and raise anything
            failure = one_line(error, with_type=True)
        if count and not failure:
            network = changed
        rewrites.append(Rewrite(name, 0 if failure else count, failure))
    return network, rewrites


@torch.no_grad()
def rewritten(network: nn.Module, size: Size, channels: int = 3) -> nn.Module:
    """Return a copy of a network with every rewrite that changes what it returns by rounding alone.

    Args:
        network: images `(b, c, h, w)` -> tensors; in evaluation mode, on its device.
        size: height and width of the images that it will see.
        channels: of the images.
    """
    example = torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(0))
    example = example.to(next(network.parameters()))
    expected = network(example)
    return apply_rewrites(network, example, lambda changed: disagreement(changed(example), expected, TOLERANCE))[0]
