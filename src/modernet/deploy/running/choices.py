"""Ways to run a network, and a short measurement that picks one: memory layout, compilation, CUDA graph, kernels."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from modernet import progress
from modernet.errors import one_line
from modernet.kernels import Backend
from modernet.machine.timing import time_in_turns
from modernet.models.fused import use_kernels
from modernet.torch_internals import mark_batch_dynamic, tree_leaves, tree_map, with_frozen_weights, with_own_code

_ROUNDS = 5
_CHUNK = 2
"""Chunk size where a batch is processed in chunks: the smallest that a program for any batch size supports."""


@dataclass(frozen=True)
class Choice:
    """One way to run a network.

    Attributes:
        channels_last: channels-last memory format for images and weights.
        compiled: `torch.compile` with frozen weights. They become constants of the program, in the layout that its
            matrix products and convolutions prefer, and anything computed from weights alone is computed once.
        any_batch: compile once for any batch size, instead of for the example's and again for others. On a CPU this
            also changes speed: for a known size the compiler uses MKL for matrix products, otherwise oneDNN, which
            fuses the activation and may be faster.
        chunk: images per forward pass; 0 means the whole batch. Smaller chunks keep more activations in the cache.
        cuda_graph: launch the whole program as a CUDA graph; only if compiled.
        kernels: backend of this library's fused kernels; None to not use them.
    """

    channels_last: bool
    compiled: bool = False
    any_batch: bool = False
    chunk: int = 0
    cuda_graph: bool = False
    kernels: Backend | None = None

    def __str__(self) -> str:
        words = ["compiled" if self.compiled else "eager"]
        words += ["any batch"] * self.any_batch + [f"chunks of {self.chunk}"] * (self.chunk > 0)
        words += ["CUDA graph"] * self.cuda_graph
        words += [] if self.kernels is None else [f"kernels {self.kernels}"]
        return ", ".join([*words, "channels last" if self.channels_last else "contiguous"])

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


def choices(network: nn.Module, device: torch.device, batch: int, *, compile: bool) -> list[Choice]:
    """Return the ways worth measuring for a network on a device, the simplest first."""
    candidates = [Choice(channels_last=False), Choice(channels_last=True)]
    if not compile:
        return candidates
    if device.type != "cuda":
        # on a CPU the compiler chooses channels last itself; a batch of one is always compiled for one
        candidates.append(Choice(channels_last=True, compiled=True))
        if batch > 1:
            candidates.append(Choice(channels_last=True, compiled=True, any_batch=True))
        if batch > _CHUNK:
            candidates.append(Choice(channels_last=True, compiled=True, any_batch=True, chunk=_CHUNK))
        return candidates
    backends: tuple[Backend | None, ...] = (None, "auto", "triton") if _has_kernels(network) else (None,)
    return candidates + [
        Choice(channels_last=True, compiled=True, cuda_graph=graph, kernels=kernels)
        for kernels in backends
        for graph in (False, True)
    ]


class Runner(nn.Module):
    """A network run in one way. Takes images of any memory format and dtype; returns the network's output."""

    def __init__(self, network: nn.Module, choice: Choice, dtype: torch.dtype) -> None:
        super().__init__()
        self.choice = choice
        self.dtype = dtype
        network = copy.deepcopy(network).to(dtype=dtype, memory_format=choice.memory_format)  # type: ignore[call-overload]
        if choice.kernels is not None:
            use_kernels(_with_affines(network), choice.kernels)
        if choice.compiled:
            options: dict[str, Any] | None = {"triton.cudagraphs": True} if choice.cuda_graph else None
            self._compiled = torch.compile(own_function(network), options=options)
        self.network = network

    def forward(self, images: Tensor) -> Any:
        # under inference_mode, or for its tensors, a program would be compiled again, with weights of its own
        with torch.inference_mode(False), torch.no_grad():
            images = images.to(self.dtype).contiguous(memory_format=self.choice.memory_format)
            images = images.clone() if images.is_inference() else images
            if self.choice.chunk == 0 or len(images) <= self.choice.chunk:
                return self._run(images)
            chunks = images.tensor_split(len(images) // self.choice.chunk)
            return _concatenated(chunks, [self._run(chunk) for chunk in chunks])

    def _run(self, images: Tensor) -> Any:
        return self._run_compiled(images) if self.choice.compiled else self.network(images)

    def _run_compiled(self, images: Tensor) -> Any:
        if self.choice.any_batch:
            images = images.detach()  # mark this tensor, not the caller's
            mark_batch_dynamic(images)
        with with_frozen_weights():
            if not self.choice.cuda_graph:
                return self._compiled(images)
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            # the graph writes its next results to the same memory
            return tree_map(_clone, self._compiled(images))


@dataclass(frozen=True)
class Measurement:
    """The speed of a choice on the example.

    Attributes:
        choice: the way to run the network.
        images_per_second: median over rounds; None if not measured.
        failure: one line on why it was not measured.
    """

    choice: Choice
    images_per_second: float | None
    failure: str = ""


def pick_fastest(
    network: nn.Module,
    images: Tensor,
    dtype: torch.dtype,
    candidates: list[Choice],
    check: Callable[[nn.Module], str],
    seconds: float,
) -> tuple[Runner, list[Measurement]]:
    """Time a network in several ways, interleaved, and keep the fastest.

    Args:
        network: left unchanged.
        images: input for the timing.
        dtype: dtype of the computation.
        candidates: ways to run the network. The first must work; an exception in another one excludes it.
        check: returns one line on what is wrong with a runner's results; empty if they are correct.
        seconds: total time for timing, excluding warm-up and compilation.

    Returns:
        The fastest runner, and a measurement per candidate.
    """
    plain, *others = candidates
    runners = {plain: Runner(network, plain, dtype)}
    failures: dict[Choice, str] = {}
    with progress.bar("preparing", len(others)) as counted:
        for choice in others:
            counted.advance(0, note=str(choice))
            try:
                runner = Runner(network, choice, dtype)
                failure = check(runner)
            except Exception as error:  # no compiler, an unsupported operation, out of memory
                failure = one_line(error, with_type=True)
            if failure:
                failures[choice] = failure
            else:
                runners[choice] = runner
            counted.advance()
    calls: Mapping[str, Callable[[], object]] = {str(c): partial(runner, images) for c, runner in runners.items()}
    turn_s = seconds / (_ROUNDS * len(calls))
    times = time_in_turns(calls, images.device, rounds=_ROUNDS, turn_s=turn_s, name="choosing")
    speeds = {choice: len(images) / statistics.median(times[str(choice)]) for choice in runners}
    fastest = max(runners, key=speeds.__getitem__)
    return runners[fastest], [Measurement(c, speeds.get(c), failures.get(c, "")) for c in candidates]


def own_function(network: nn.Module) -> Callable[[Tensor], Any]:
    """Return a function that runs a network and has its own code object; see `with_own_code`."""

    def run(images: Tensor) -> Any:
        return network(images)

    return with_own_code(run)


def _with_affines(network: nn.Module) -> nn.Module:
    """Add weights of one and biases of zero to LayerNorms without, since the kernels need an affine."""
    for norm in network.modules():
        if isinstance(norm, nn.LayerNorm) and len(norm.normalized_shape) == 1:
            parameter = next(network.parameters())
            if norm.weight is None:
                norm.weight = nn.Parameter(parameter.new_ones(norm.normalized_shape), requires_grad=False)
            if norm.bias is None:
                norm.bias = nn.Parameter(parameter.new_zeros(norm.normalized_shape), requires_grad=False)
    return network


def _has_kernels(network: nn.Module) -> bool:
    fused = use_kernels(_with_affines(copy.deepcopy(network)))
    return [type(module) for module in fused.modules()] != [type(module) for module in network.modules()]


def _concatenated(chunks: Sequence[Tensor], results: Sequence[Any]) -> Any:
    """Concatenate the outputs for the chunks of a batch."""
    for chunk, result in zip(chunks, results, strict=True):
        for leaf in tree_leaves(result):
            if not isinstance(leaf, Tensor) or leaf.shape[:1] != chunk.shape[:1]:
                raise ValueError("the network returns something without a batch dimension")
    return tree_map(lambda *leaves: torch.cat(leaves), *results)


def _clone(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, Tensor) else leaf
