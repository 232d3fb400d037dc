"""Which layers of a network cost most when they compute with 8-bit integers."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.deploy.running.int8 import Layer, Range, input_ranges, quantizable, run_rounded
from modernet.deploy.running.way import Work
from modernet.torch_internals import tensors_in

Hook = Callable[[Any, tuple[Tensor, ...], Tensor], Tensor | None]

_MOST, _FEWEST = 16, 2  # images of a forward pass


@torch.no_grad()
def rank_layers(work: Work, seconds: float = 10.0) -> list[tuple[str, float]]:
    """Return the layers of a network with the cost of computing each alone with 8-bit integers, costliest first.

    Simulated in floating point: weights with a scale per output channel, inputs with one range per tensor (per channel
    before depthwise convolutions) that calibration gives. So it does not depend on a runtime, whose own choices may
    differ in detail. It takes about three forward passes, then one a layer.

    The cost is the mean Kullback-Leibler divergence of the class probabilities, in nats, where the network returns
    scores `(b, classes)`; otherwise the norm of the change of its tensors relative to their own, the largest of them.

    A layer is a convolution or `nn.Linear` that is called as a module. Other parameters, such as the projections of
    `nn.MultiheadAttention`, are not ranked: int8 leaves them in floating point.

    Args:
        work: at most 16 of its calibration images are used (of `images` without), 2 or more, as time allows.
        seconds: for the layers one by one, beginning with those whose own output changes most. Those that time does not
            allow get a cost in proportion to the square of that change.
    """
    network = copy.deepcopy(work.network)
    images = work.images if work.calibration is None else work.calibration
    weight = next((p for p in network.parameters() if p.is_floating_point()), images)
    images = images[:_MOST].to(weight.dtype)
    layers = quantizable(network)
    ranges = input_ranges(network, images)
    changes, image_s = _own_changes(network, layers, ranges, images)
    images = images[: max(_FEWEST, int(seconds / (len(ranges) * image_s)))] if ranges else images
    expected = network(images)
    costs: dict[str, float] = {}
    deadline = time.perf_counter() + seconds
    in_order = sorted(changes, key=changes.__getitem__, reverse=True)
    for name in in_order:
        if costs and time.perf_counter() > deadline:
            break
        handle = layers[name].register_forward_hook(_rounding(ranges[name]))
        try:
            costs[name] = _cost(network(images), expected)
        finally:
            handle.remove()
    if costs:
        factor = statistics.median(cost / (changes[name] or 1.0) for name, cost in costs.items())
        costs |= {name: factor * changes[name] for name in in_order if name not in costs}
    return sorted(costs.items(), key=lambda item: item[1], reverse=True)


def _own_changes(
    network: nn.Module, layers: dict[str, Layer], ranges: dict[str, Range], images: Tensor
) -> tuple[dict[str, float], float]:
    """Return how much 8-bit integers change each layer's own output, squared and relative, and the seconds an image."""
    changes: dict[str, float] = {}

    def watch(name: str) -> Hook:
        def compare(layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
            found = run_rounded(layers[name], ranges[name], args[0])
            changes[name] = max(changes.get(name, 0.0), _change([found], [out]) ** 2)

        return compare

    handles = [layers[name].register_forward_hook(watch(name)) for name in ranges]
    start = time.perf_counter()
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return changes, (time.perf_counter() - start) / len(images)


def _rounding(seen: Range) -> Hook:
    def run(layer: Layer, args: tuple[Tensor, ...], _: Tensor) -> Tensor:
        return run_rounded(layer, seen, args[0])

    return run


def _cost(found: Any, expected: Any) -> float:
    if isinstance(expected, Tensor) and expected.ndim == 2:
        p, q = (scores.double().log_softmax(1) for scores in (expected, found))
        cost = float(F.kl_div(q, p, log_target=True, reduction="batchmean"))
    else:
        cost = _change(tensors_in(found), tensors_in(expected))
    return math.inf if math.isnan(cost) else cost


def _change(found: list[Tensor], expected: list[Tensor]) -> float:
    """Return the norm of a difference relative to the norm of what is expected, the largest over tensors."""
    pairs = [(a.double(), b.double()) for a, b in zip(found, expected, strict=True) if b.is_floating_point()]
    return max((float((a - b).norm() / b.norm().clamp_min(1e-12)) for a, b in pairs), default=0.0)
