"""Search for better block sizes of the kernels on this GPU: every size halved and doubled.

    python benchmarks/gpu_sweep.py | tee sweep.txt
    python benchmarks/gpu_sweep.py --rehearse            on a CPU, in Triton's interpreter, to see that it works

One line per kernel and shape: the time with the kernel's own blocks, and the best other blocks with their speedup.
Blocks that win everywhere belong in the kernel's own rule, if `benchmarks/gpu_session.py` confirms them.
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
"""Relative difference allowed between results with other blocks: sums in another order, in bfloat16."""
Launch = Callable[[Any], object]
"""Runs a kernel with the given blocks."""


def neighbours(blocks: Any) -> Iterator[Any]:
    """Yield the blocks with one number halved or doubled; invalid ones fail when they are tried."""
    numbers = blocks._asdict() if hasattr(blocks, "_asdict") else dataclasses.asdict(blocks)
    for name, value in numbers.items():
        for other in (value // 2, value * 2):
            if other >= 1:
                yield type(blocks)(**{**numbers, name: other})


def launches(device: torch.device, batch: int, c: int, side: int, k: int = 7) -> Iterator[tuple[str, Any, Launch]]:
    """Yield every kernel on maps of one stage: its name, its own blocks, and how to launch it."""
    dtype = torch.bfloat16

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device).to(dtype)

    x = random(batch, c, side, side).contiguous(memory_format=torch.channels_last)
    dy, weight, vector = torch.randn_like(x), random(c, 1, k, k), random(c)
    last = x.permute(0, 2, 3, 1)  # b h w c
    yield (
        "depthwise_conv",
        depthwise_conv.forward_tile(c, k, side),
        lambda blocks: depthwise_conv.depthwise_conv_forward(x, weight, vector, blocks),
    )
    yield (
        "depthwise_conv, weight gradient",
        depthwise_conv.weight_gradient_tile(c, k, side),
        lambda blocks: depthwise_conv.depthwise_conv_weight_gradient(dy, x, k, blocks),
    )
    yield (
        "depthwise_layer_norm",
        depthwise_layer_norm.forward_tile(c, k, side),
        lambda blocks: depthwise_layer_norm.depthwise_layer_norm_forward(
            x, weight, vector, vector, vector, 1e-6, keep_convolution=False, tile=blocks
        ),
    )
    yield (
        "depthwise_layer_norm, gradient",
        depthwise_layer_norm.gradient_tile(c),
        lambda blocks: depthwise_layer_norm.norm_gradient(last, last, vector, 1e-6, tile=blocks),
    )
    yield (
        "layer_norm",
        layer_norm.Blocks.of(c, True),
        lambda blocks: layer_norm.forward(x, vector, vector, 1e-6, 1, dtype, blocks),
    )
    _, mean, rstd = layer_norm.forward(x, vector, vector, 1e-6, 1, dtype)
    yield (
        "layer_norm, gradient",
        layer_norm.Blocks.of(c, True),
        lambda blocks: layer_norm.backward(dy, x, vector, mean, rstd, 1, blocks),
    )

    hidden, gamma, beta = random(batch, side, side, 4 * c), random(1, 1, 1, 4 * c), random(1, 1, 1, 4 * c)
    _, energy = gelu_grn.forward(hidden, gamma, beta, 1e-6)
    yield "gelu_grn", gelu_grn.BLOCKS, lambda blocks: gelu_grn.forward(hidden, gamma, beta, 1e-6, blocks)
    yield (
        "gelu_grn, gradient",
        gelu_grn.BLOCKS,
        lambda blocks: gelu_grn.backward(hidden, hidden, gamma, energy, 1e-6, blocks),
    )

    weight1, bias1, weight2, y = random(4 * c, c) / c**0.5, random(4 * c), random(c, 4 * c) / c, torch.empty_like(last)
    forward = (last, x, weight1, bias1, weight2, vector, vector, None, y)
    backward = (last, last, weight1, bias1, weight2, vector, None)

    def in_one_kernel(blocks: Any) -> torch.Tensor:
        on_chip.forward(*forward, blocks=blocks)
        return y

    def in_products(blocks: Any) -> torch.Tensor:
        products.forward(*forward, None, blocks=blocks)
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
            lambda blocks: on_chip.input_gradient(*backward, blocks=blocks),
        )
        yield (
            "mlp_residual on chip, weight gradients",
            on_chip.weight_gradients_blocks(dtype, c),
            lambda blocks: on_chip.weight_gradients(*backward, blocks=blocks),
        )
    yield "mlp_residual in products", products.default_blocks(dtype), in_products
    yield (
        "mlp_residual in products, hidden gradient",
        products.default_blocks(dtype),
        lambda blocks: products.hidden_gradient(last, hidden, weight2, vector, None, blocks=blocks),
    )


def results_of(launch: Launch, blocks: Any) -> torch.Tensor:
    """Return all outputs of a kernel as one vector; values that it does not write are NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        found = launch(blocks)
    finally:
        torch.use_deterministic_algorithms(before)
    return torch.cat([leaf.double().flatten() for leaf in tree_leaves(found) if isinstance(leaf, torch.Tensor)])


def sweep(name: str, chosen: Any, launch: Launch, device: torch.device, rounds: int) -> str:
    """Compare the blocks of a kernel, and return the best as one line."""
    calls: dict[str, Callable[[], object]] = {}
    expected, failed = None, 0
    for blocks in (chosen, *neighbours(chosen)):
        try:
            found = results_of(launch, blocks)
        except Exception as error:  # too much shared memory, not a power of two, or any other compiler error
            if expected is None:
                return f"{name}: {chosen} does not run: {str(error).splitlines()[0]}"
            failed += 1
            continue
        expected = found if expected is None else expected
        if float((found - expected).norm() / expected.norm()) < TOLERANCE:  # blocks may leave out a part of the work
            calls[str(blocks)] = functools.partial(launch, blocks)
        else:
            failed += 1
    times = time_in_turns(calls, device, rounds=rounds, turn_s=0.01, warm_up=2)
    medians = {blocks: statistics.median(seconds) for blocks, seconds in times.items()}
    best = min(medians, key=medians.__getitem__)
    here = medians[str(chosen)]
    ratio = statistics.median(a / b for a, b in zip(times[str(chosen)], times[best], strict=True))
    better = "the best" if best == str(chosen) else f"{ratio:.2f}x with {best}"
    return f"{name}: {1e6 * here:.1f} us with {chosen}; {better}  ({len(calls)} choices are valid, {failed} are not)"


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
        raise SystemExit("gpu_sweep: there is no CUDA device; --rehearse runs one small shape in the interpreter")
    device = torch.device("cpu" if rehearse else "cuda:0")
    for c, side in ((32, 3),) if rehearse else STAGES:
        for name, chosen, launch in launches(device, 1 if rehearse else BATCH, c, side, 3 if rehearse else 7):
            print(f"{c} x {side}  {sweep(name, chosen, launch, device, 1 if rehearse else 7)}", flush=True)


if __name__ == "__main__":
    main()
