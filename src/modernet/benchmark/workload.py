"""A case prepared on its device: network, examples, and the step that is timed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.benchmark.case import CHOSEN, Case
from modernet.benchmark.inputs import Batch
from modernet.benchmark.targets import Target
from modernet.deploy.running.casting import cast_weights
from modernet.layers.memory_layout import avoid_unsafe_layout
from modernet.machine.device import last_cache_bytes
from modernet.machine.memory import available_bytes
from modernet.machine.settings import set_tf32
from modernet.torch_internals import tree_leaves

_MOST_BATCHES = 64
_LEARNING_RATE = 1e-4  # too small to diverge: a GPU multiplies infinities faster


@dataclass(frozen=True)
class Workload:
    """The work of a case.

    Attributes:
        step: does the work once. On a GPU it returns when the work is queued.
        network: the network itself, not optimized and not compiled, in the dtype of the case.
        held_bytes: device memory in use between steps: weights, buffers, one batch.
        report: the choices of `modernet.deploy.optimize`, for an optimized network.
    """

    step: Callable[[], None]
    network: nn.Module
    held_bytes: int
    report: str | None = None


def prepare(case: Case, target: Target, device: torch.device) -> Workload:
    """Build a network and examples for a case, with random numbers.

    Raises:
        Exception: whatever a network raises that cannot be built or run on such examples, including memory errors.
    """
    assert case.batch is not None, "the fastest batch size is found before this"
    _apply_settings(case, device)
    torch.manual_seed(0)
    network = target.build(case.size).to(device)
    dtype = case.tensor_dtype if case.mode == "infer" else torch.float32
    draw = partial(target.inputs.draw, case.batch, case.size, dtype, case.memory_format)
    batches = rotated(draw, device)
    report = None
    running: nn.Module
    if target.optimized:
        from modernet.deploy import optimize

        if target.kept is None:
            optimized = optimize(network.eval(), *batches[0], dtype=case.tensor_dtype)
        else:
            optimized = target.kept()
        running, report = optimized, str(optimized.report)
    else:
        running = network.to(memory_format=case.memory_format)
        if case.mode == "infer":
            running = cast_weights(running, case.tensor_dtype)
        running.train(case.mode == "train")
        if case.mode == "train" and device.type == "cpu":
            avoid_unsafe_layout(running, compiled=case.compile != "off")
    call: Callable[..., Any] = running
    if case.compile not in ("off", CHOSEN):
        call = torch.compile(running, mode=case.compile, dynamic=False)
    if case.mode == "train":
        work = _training(case, call, running, batches, classes_last=target.classes_last)
    else:
        work = _inference(call, batches)

    def step() -> None:
        _apply_settings(case, device)  # the previous turn may have been another case's
        if case.compile == "max-autotune":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        work()

    held = [*running.parameters(), *running.buffers(), *batches[0]]
    return Workload(step, network, sum(tensor.nbytes for tensor in held), report)


def random_batches(
    shape: Sequence[int], dtype: torch.dtype, memory_format: torch.memory_format, device: torch.device
) -> list[Tensor]:
    """Return tensors of random numbers to rotate, as `rotated` does."""

    def draw(device: torch.device) -> Batch:
        return (torch.randn(shape, device=device, dtype=dtype).contiguous(memory_format=memory_format),)

    return [batch for (batch,) in rotated(draw, device)]


def rotated(draw: Callable[[torch.device], Batch], device: torch.device) -> list[Batch]:
    """Return batches to rotate: more than fit into the last-level cache, so that none is still there at its next use.

    Fewer if memory is short, but at least one.
    """
    size = sum(tensor.nbytes for tensor in draw(torch.device("meta")))
    wanted = min(_MOST_BATCHES, 1 + math.ceil(last_cache_bytes(device) / size))
    available = available_bytes(device)
    if available is not None:
        wanted = max(1, min(wanted, available // 8 // size))
    return [draw(device) for _ in range(wanted)]


def _inference(network: Callable[..., Any], batches: list[Batch]) -> Callable[[], None]:
    rotation = itertools.cycle(batches)

    def step() -> None:
        with torch.inference_mode():
            network(*next(rotation))

    return step


def _training(
    case: Case, network: Callable[..., Any], weights: nn.Module, batches: list[Batch], *, classes_last: bool
) -> Callable[[], None]:
    """Return a step of forward, cross-entropy, backward, SGD; under autocast for 16-bit dtypes, without loss scaling.

    The losses of networks with several classifiers in training are summed.
    """
    labels = [torch.randint(2, batch[0].shape[:1], device=batch[0].device) for batch in batches]
    rotation = itertools.cycle(zip(batches, labels, strict=True))
    optimizer = torch.optim.SGD(weights.parameters(), lr=_LEARNING_RATE)
    dtype, kind = case.tensor_dtype, labels[0].device.type

    def step() -> None:
        batch, answers = next(rotation)
        with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
            scores = [leaf.movedim(-1, 1) if classes_last else leaf for leaf in tree_leaves(network(*batch))]
            loss = torch.stack([_cross_entropy(classes, answers) for classes in scores]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)  # at the end, so that no gradients are in memory during other turns

    return step


def _cross_entropy(scores: Tensor, answers: Tensor) -> Tensor:
    """Return the loss for one class per example; of scores `(b, k, ...)`, it is that of every pixel or point."""
    classes = answers.reshape(-1, *[1] * (scores.ndim - 2)).expand(len(answers), *scores.shape[2:])
    return F.cross_entropy(scores, classes)


def _apply_settings(case: Case, device: torch.device) -> None:
    """Apply the settings of a case that are global to the process."""
    if device.type == "cuda":
        set_tf32(case.dtype == "tf32")
    elif torch.get_num_threads() != case.threads:
        torch.set_num_threads(case.threads)
