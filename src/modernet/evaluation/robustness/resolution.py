"""Accuracy of a classifier by the size of its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modernet.data import Loader
from modernet.errors import InputError, one_line
from modernet.evaluation.answers import collect_answers
from modernet.evaluation.robustness.resampling import Estimate, share_estimates
from modernet.machine.memory import is_out_of_memory
from modernet.models import Backbone
from modernet.preparation import Preparation, Size
from modernet.weights import SavedNetwork, load_weights

RESOLUTIONS = tuple(range(128, 513, 32))
"""Sides of square images in pixels."""


@dataclass(frozen=True)
class Resolution:
    """A classifier on square images of one size.

    Attributes:
        image_size: their side in pixels.
        top1: accuracy in per cent; None where the network does not take the size.
        reason: why it does not.
        rebuilt: whether the network was made for this size, with its weights resampled.
    """

    image_size: int
    top1: Estimate | None
    reason: str | None = None
    rebuilt: bool = False


@dataclass(frozen=True)
class ResolutionSweep:
    """A classifier on the same images at several sizes.

    Attributes:
        own_size: height and width in pixels that it is made for.
        n: images.
        sizes: in the order in which they were given.
    """

    own_size: Size
    n: int
    sizes: Sequence[Resolution]

    def metrics(self) -> dict[str, float]:
        """Return metrics of a record: `resolution_224_top1` with `_low` and `_high` for each size that was tested."""
        found: dict[str, float] = {}
        for each in self.sizes:
            if each.top1 is not None:
                found |= each.top1.metrics(f"resolution_{each.image_size}_top1")
        return found

    def detail(self) -> list[dict[str, Any]]:
        """Return the rows of a record's details, with `top1` and the ends of its interval, or with a `reason`."""
        return [
            {
                "image_size": each.image_size,
                "own": (each.image_size, each.image_size) == self.own_size,
                "n": self.n,
                "rebuilt": each.rebuilt,
                **(each.top1.metrics("top1") if each.top1 is not None else {"reason": each.reason}),
            }
            for each in self.sizes
        ]


def sweep_resolutions(
    saved: SavedNetwork,
    loader_at: Callable[[Preparation], Loader],
    *,
    device: torch.device,
    sizes: Sequence[int] = RESOLUTIONS,
    columns: Tensor | None = None,
) -> ResolutionSweep:
    """Return the accuracy of a classifier at several image sizes.

    Images are prepared as in its test, with the same share of them in the crop, so that objects grow with the images. A
    network that is built for one size is made again for each, with what belongs to positions resampled.

    Source: Touvron et al., "Fixing the train-test resolution discrepancy" (2019), which explains why a network may be
    better above the size that it was trained at.

    Args:
        saved: the network.
        loader_at: a preparation -> the images so prepared, in the same order each time; targets are classes.
        device: where to run it.
        sizes: sides in pixels.
        columns: as `collect_answers` takes it.

    Raises:
        InputError: the network takes none of the sizes, or an image cannot be read.
        NonFiniteScores: a logit is NaN or infinite.
    """
    reasons: dict[int, str] = {}
    rights: dict[int, Tensor] = {}
    rebuilt: set[int] = set()
    for size in sizes:
        try:
            network = network_at(saved, size)
        except InputError as error:
            reasons[size] = str(error)
            continue
        if network is not saved.network:
            rebuilt.add(size)
        loader = loader_at(saved.preparation.with_size(size))
        rights[size] = collect_answers(network.to(device), loader, f"{size} x {size} pixels", columns).correct()
    if not rights:
        raise InputError(f"the network takes none of the sizes: {'; '.join(reasons.values())}")
    estimates = dict(zip(rights, share_estimates(np.stack([each.numpy() for each in rights.values()], 1)), strict=True))
    return ResolutionSweep(
        saved.preparation.size,
        len(next(iter(rights.values()))),
        [Resolution(size, estimates.get(size), reasons.get(size), size in rebuilt) for size in sizes],
    )


@torch.inference_mode()
def network_at(saved: SavedNetwork, size: int) -> nn.Module:
    """Return a network for square images of `size` pixels a side: itself where it takes them, or one that is built for
    them, with its weights resampled.

    An error at the size that the network is made for, and one of memory, are raised as they are.

    Raises:
        InputError: there is no such network.
    """
    network = saved.network
    fixed = isinstance(network, Backbone) and network.pretrained_cfg.get("fixed_input_size", False)
    if fixed and saved.preparation.size != (size, size):
        spec = replace(saved.spec, fields={**saved.spec.fields, "image_size": size})
        with torch.inference_mode(False):
            network = spec.build(len(saved.classes)).eval().to(memory_format=torch.channels_last)
            try:
                load_weights(network, saved.network.state_dict(), resample=True)
            except InputError as error:  # which lists every tensor
                raise InputError(f"not at {size} x {size}: its weights cannot be resampled") from error
    like = next(network.parameters())
    try:
        network(torch.zeros(1, 3, size, size, device=like.device, dtype=like.dtype))
    except (AssertionError, RuntimeError, ValueError) as error:  # what networks raise for sizes that they do not take
        if saved.preparation.size == (size, size) or is_out_of_memory(error):
            raise
        raise InputError(f"not at {size} x {size}: {one_line(error)}") from error
    return network
