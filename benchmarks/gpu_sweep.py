"""How the kernels' work is best cut on this GPU: every size halved and doubled, beside what a kernel chooses itself.

    python benchmarks/gpu_sweep.py | tee sweep.txt
    python benchmarks/gpu_sweep.py --rehearse            on a CPU, in Triton's interpreter, to see that it works

For each kernel and shape a line: what it takes as it is, the best other cut, and how many times as fast that is. A cut
that wins everywhere belongs into the kernel's own rule, after `benchmarks/gpu_session.py` has said so too.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from modernet.kernels.depthwise_conv import triton_kernel as depthwise_conv
from modernet.kernels.depthwise_layer_norm import triton_kernel as depthwise_layer_norm
from modernet.kernels.gelu_grn import triton_kernel as gelu_grn
from modernet.kernels.layer_norm import triton_kernel as layer_norm
from modernet.kernels.mlp_residual import on_chip, products
from modernet.machine.timing import time_in_turns

BATCH = 128
STAGES = ((96, 56), (192, 28), (384, 14), (768, 7))
TOLERANCE = 1e-2
"""Of results of other cuts, relative to those of the kernel's own: sums in another order, in bfloat16."""
Launch = Callable[[Any], object]
"""Runs a kernel, cut in the way that it is given."""


def neighbours(cut: Any) -> Iterator[Any]:
    """The cut with one of its numbers halved or doubled; those that a kernel cannot have fail when they are tried."""
    numbers = cut._asdict() if hasattr(cut, "_asdict") else dataclasses.asdict(cut)
    for name, value in numbers.items():
        for other in (value // 2, value * 2):
            if other >= 1:
                yield type(cut)(**{**numbers, name: other})


def launches(device: torch.device, batch: int, c: int, side: int, k: int = 7) -> Iterator[tuple[str, Any, Launch]]:
    """Every kernel on maps of one stage: its name, the cut that it chooses, and how to launch it."""
    dtype = torch.bfloat16

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device).to(dtype)

    x = random(batch, c, side, side).contiguous(memory_format=torch.channels_last)
    dy, weight, vector = torch.randn_like(x), random(c, 1, k, k), random(c)
    last = x.permute(0, 2, 3, 1)  # b h w c
    yield (
        "depthwise_conv",
        depthwise_conv.forward_tile(c, k, side),
        lambda cut: depthwise_conv.depthwise_conv_forward(x, weight, vector, cut),
    )
    yield (
        "depthwise_conv, weight gradient",
        depthwise_conv.weight_gradient_tile(c, k, side),
        lambda cut: depthwise_conv.depthwise_conv_weight_gradient(dy, x, k, cut),
    )
    yield (
        "depthwise_layer_norm",
        depthwise_layer_norm.forward_tile(c, k, side),
        lambda cut: depthwise_layer_norm.depthwise_layer_norm_forward(
            x, weight, vector, vector, vector, 1e-6, keep_convolution=False, tile=cut
        ),
    )
    yield (
        "depthwise_layer_norm, gradient",
        depthwise_layer_norm.gradient_tile(c),
        lambda cut: depthwise_layer_norm.norm_gradient(last, last, vector, 1e-6, tile=cut),
    )
    yield (
        "layer_norm",
        layer_norm.Blocks.of(c, True),
        lambda cut: layer_norm.forward(x, vector, vector, 1e-6, 1, dtype, cut),
    )
    _, mean, rstd = layer_norm.forward(x, vector, vector, 1e-6, 1, dtype)
    yield (
        "layer_norm, gradient",
        layer_norm.Blocks.of(c, True),
        lambda cut: layer_norm.backward(dy, x, vector, mean, rstd, 1, cut),
    )

    hidden, gamma, beta = random(batch, side, side, 4 * c), random(1, 1, 1, 4 * c), random(1, 1, 1, 4 * c)
    _, energy = gelu_grn.forward(hidden, gamma, beta, 1e-6)
    yield "gelu_grn", gelu_grn.BLOCKS, lambda cut: gelu_grn.forward(hidden, gamma, beta, 1e-6, cut)
    yield (
        "gelu_grn, gradient",
        gelu_grn.BLOCKS,
        lambda cut: gelu_grn.backward(hidden, hidden, gamma, energy, 1e-6, cut),
    )

    weight1, bias1, weight2, y = random(4 * c, c) / c**0.5, random(4 * c), random(c, 4 * c) / c, torch.empty_like(last)
    forward = (last, x, weight1, bias1, weight2, vector, vector, None, y)
    backward = (last, last, weight1, bias1, weight2, vector, None)

    def in_one_kernel(cut: Any) -> torch.Tensor:
        on_chip.forward(*forward, blocks=cut)
        return y

    def in_products(cut: Any) -> torch.Tensor:
        products.forward(*forward, None, blocks=cut)
        return y

    if c <= on_chip.MAX_CHANNELS:
        yield (
            "mlp_residual on chip",
            on_chip.forward_blocks(dtype, c),
            in_one_kernel,
        )
        yield (
            "mlp_residual on chip, input gradient",
            on_chip.input_gradient_blocks(dtype, c),
            lambda cut: on_chip.input_gradient(*backward, blocks=cut),
        )
        yield (
            "mlp_residual on chip, weight gradients",
            on_chip.weight_gradients_blocks(dtype, c),
            lambda cut: on_chip.weight_gradients(*backward, blocks=cut),
        )
    yield "mlp_residual in products", products.default_blocks(dtype), in_products
    yield (
        "mlp_residual in products, hidden gradient",
        products.default_blocks(dtype),
        lambda cut: products.hidden_gradient(last, hidden, weight2, vector, None, blocks=cut),
    )


def numbers_of(launch: Launch, cut: Any) -> torch.Tensor:
    """All that a kernel gives, in a row; what it does not write is NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        found = launch(cut)
    finally:
        torch.use_deterministic_algorithms(before)
    return torch.cat([leaf.double().flatten() for leaf in tree_leaves(found) if isinstance(leaf, torch.Tensor)])


def sweep(name: str, chosen: Any, launch: Launch, device: torch.device, rounds: int) -> str:
    """The best cut of a kernel in a line."""
    calls: dict[str, Callable[[], object]] = {}
    expected, failed = None, 0
    for cut in (chosen, *neighbours(chosen)):
        try:
            found = numbers_of(launch, cut)
        except Exception as error:  # too much shared memory, not a power of two, or whatever a compiler says
            if expected is None:
                return f"{name}: {chosen} does not run: {str(error).splitlines()[0]}"
            failed += 1
            continue
        expected = found if expected is None else expected
        if float((found - expected).norm() / expected.norm()) < TOLERANCE:  # a cut may leave out a part of the work
            calls[str(cut)] = functools.partial(launch, cut)
        else:
            failed += 1
    times = time_in_turns(calls, device, rounds=rounds, turn_s=0.01, warm_up=2)
    medians = {cut: statistics.median(seconds) for cut, seconds in times.items()}
    best = min(medians, key=medians.__getitem__)
    here = medians[str(chosen)]
    ratio = statistics.median(a / b for a, b in zip(times[str(chosen)], times[best], strict=True))
    better = "the best" if best == str(chosen) else f"{ratio:.2f}x with {best}"
    return f"{name}: {1e6 * here:.1f} us with {chosen}; {better}  ({len(calls)} cuts are right, {failed} are not)"


def main() -> None:
    rehearse = sys.argv[1:] == ["--rehearse"]
    if sys.argv[1:] and not rehearse:
        print(__doc__)
        return
    if rehearse and os.environ.get("TRITON_INTERPRET") != "1":
        os.execve(
            sys.executable, [sys.executable, str(Path(__file__)), "--rehearse"], {**os.environ, "TRITON_INTERPRET": "1"}
        )
    if not (rehearse or torch.cuda.is_available()):
        raise SystemExit("gpu_sweep: there is no CUDA device; --rehearse tries one small shape in the interpreter")
    device = torch.device("cpu" if rehearse else "cuda:0")
    for c, side in ((32, 3),) if rehearse else STAGES:
        for name, chosen, launch in launches(device, 1 if rehearse else BATCH, c, side, 3 if rehearse else 7):
            print(f"{c} x {side}  {sweep(name, chosen, launch, device, 1 if rehearse else 7)}", flush=True)


if __name__ == "__main__":
    main()
