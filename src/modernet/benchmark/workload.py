"""A case made ready on its device: network, images, and the step that is timed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.benchmark.case import CHOSEN, Case
from modernet.benchmark.targets import Target
from modernet.machine.device import last_cache_bytes
from modernet.machine.memory import available_bytes
from modernet.machine.settings import set_tf32
from modernet.torch_internals import tree_leaves

_MOST_BATCHES = 64
_LEARNING_RATE = 1e-4  # so small that no number of steps ends in infinities, which a GPU multiplies faster


@dataclass(frozen=True)
class Workload:
    """What a case's turn runs.

    Attributes:
        step: does the case's work once. On a GPU it returns when the work is queued.
        network: the network itself, not optimized and not compiled; cast, if the case says so.
        held_bytes: what lies in the device's memory between steps: weights, buffers, one batch of images.
        report: what `modernet.deploy.optimize` says it chose, for an optimized network.
    """

    step: Callable[[], None]
    network: nn.Module
    held_bytes: int
    report: str | None = None


def prepare(case: Case, target: Target, device: torch.device) -> Workload:
    """Make a network and images for a case, with random numbers.

    Raises:
        Exception: whatever a network raises that cannot be made, or not for such images; memory errors among it.
    """
    assert case.batch is not None, "the batch is to be found first"
    _set_circumstances(case, device)
    torch.manual_seed(0)
    made = target.build(case.image_size).to(device)
    shape = (case.batch, target.in_chans, case.image_size, case.image_size)
    dtype = case.tensor_dtype if case.mode == "infer" else torch.float32
    images = random_batches(shape, dtype, case.memory_format, device)
    report = None
    running: nn.Module
    if target.optimized:
        from modernet.deploy import optimize

        optimized = optimize(made.eval(), images[0], dtype=case.tensor_dtype)
        running, report = optimized, str(optimized.report)
    else:
        running = made.to(memory_format=case.memory_format)
        if case.mode == "infer":
            running = running.to(case.tensor_dtype)
        running.train(case.mode == "train")
    call: Callable[..., Any] = running
    if case.compile not in ("off", CHOSEN):
        call = torch.compile(running, mode=case.compile, dynamic=False)
    work = _training(case, call, running, images) if case.mode == "train" else _inference(call, images)

    def step() -> None:
        _set_circumstances(case, device)  # another case may have had its turn
        if case.compile == "max-autotune":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        work()

    held = [*running.parameters(), *running.buffers(), images[0]]
    return Workload(step, made, sum(tensor.nbytes for tensor in held), report)


def random_batches(
    shape: Sequence[int], dtype: torch.dtype, memory_format: torch.memory_format, device: torch.device
) -> list[Tensor]:
    """Batches to rotate: more than fit into the last cache, so that none is found there when its turn comes again.

    Fewer where memory is short, one at least.
    """
    size = math.prod(shape) * dtype.itemsize
    wanted = min(_MOST_BATCHES, 1 + math.ceil(last_cache_bytes(device) / size))
    available = available_bytes(device)
    if available is not None:
        wanted = max(1, min(wanted, available // 8 // size))
    batches = [torch.randn(shape, device=device, dtype=dtype) for _ in range(wanted)]
    return [batch.contiguous(memory_format=memory_format) for batch in batches]


def _inference(network: Callable[..., Any], images: list[Tensor]) -> Callable[[], None]:
    rotation = itertools.cycle(images)

    def step() -> None:
        with torch.inference_mode():
            network(next(rotation))

    return step


def _training(case: Case, network: Callable[..., Any], weights: nn.Module, images: list[Tensor]) -> Callable[[], None]:
    """Forward, cross-entropy, backward, SGD; under autocast for dtypes of 16 bits, without scaling of the loss.

    Networks that give the scores of several classifiers while they train learn from all of them.
    """
    labels = [torch.randint(2, (len(batch),), device=batch.device) for batch in images]
    rotation = itertools.cycle(zip(images, labels, strict=True))
    optimizer = torch.optim.SGD(weights.parameters(), lr=_LEARNING_RATE)
    dtype, kind = case.tensor_dtype, images[0].device.type

    def step() -> None:
        batch, answers = next(rotation)
        with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
            scores = tree_leaves(network(batch))
            loss = torch.stack([F.cross_entropy(classes, answers) for classes in scores]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)  # last, so that no gradients fill the memory in others' turns

    return step


def _set_circumstances(case: Case, device: torch.device) -> None:
    """Settings of a case that are those of the whole process."""
    if device.type == "cuda":
        set_tf32(case.dtype == "tf32")
    elif torch.get_num_threads() != case.threads:
        torch.set_num_threads(case.threads)
