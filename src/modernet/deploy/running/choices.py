"""How a network is run, chosen by a short measurement: layout in memory, compiled or not, CUDA graph, fused kernels."""

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
_PART = 2
"""Images at once where a batch is cut into parts: the fewest that one program for any number of them takes."""


@dataclass(frozen=True)
class Choice:
    """One way to run a network.

    Attributes:
        channels_last: whether the channels of a position lie side by side in memory, or the positions of a channel.
        compiled: by `torch.compile` with frozen weights: they are constants of the program, which lays them out as its
            matrix products and convolutions want them, and computes once what depends on them alone.
        any_batch: compiled once for all numbers of images, instead of for the example's and, later, for any other.
            On a CPU this is not only a convenience: for a number that it knows, the compiler gives matrix products to
            MKL, else to oneDNN, which computes the activation on the way and may be the faster of the two.
        part: how many images go through the network at once; 0 is all. Of few images more stays in the cache.
        cuda_graph: the whole program launched at once; only where compiled.
        kernels: by the fused kernels of this library; None is without.
    """

    channels_last: bool
    compiled: bool = False
    any_batch: bool = False
    part: int = 0
    cuda_graph: bool = False
    kernels: Backend | None = None

    def __str__(self) -> str:
        parts = ["compiled" if self.compiled else "eager"]
        parts += ["any batch"] * self.any_batch + [f"{self.part} images at once"] * (self.part > 0)
        parts += ["CUDA graph"] * self.cuda_graph
        parts += [] if self.kernels is None else [f"kernels {self.kernels}"]
        return ", ".join([*parts, "channels last" if self.channels_last else "contiguous"])

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


def choices(network: nn.Module, device: torch.device, batch: int, *, compile: bool) -> list[Choice]:
    """What is worth measuring for a network on its device, the plainest first."""
    found = [Choice(channels_last=False), Choice(channels_last=True)]
    if not compile:
        return found
    if device.type != "cuda":
        # the compiler lays out maps channels last by itself here; of one image it makes a program for one
        found.append(Choice(channels_last=True, compiled=True))
        if batch > 1:
            found.append(Choice(channels_last=True, compiled=True, any_batch=True))
        if batch > _PART:
            found.append(Choice(channels_last=True, compiled=True, any_batch=True, part=_PART))
        return found
    backends: tuple[Backend | None, ...] = (None, "auto", "triton") if _has_kernels(network) else (None,)
    return found + [
        Choice(channels_last=True, compiled=True, cuda_graph=graph, kernels=kernels)
        for kernels in backends
        for graph in (False, True)
    ]


class Runner(nn.Module):
    """A network run in one way. It takes images of any layout and dtype, and gives what the network gives."""

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
        images = images.to(self.dtype).contiguous(memory_format=self.choice.memory_format)
        with torch.no_grad():
            if self.choice.part == 0 or len(images) <= self.choice.part:
                return self._run(images)
            parts = images.tensor_split(len(images) // self.choice.part)
            return _joined(parts, [self._run(part) for part in parts])

    def _run(self, images: Tensor) -> Any:
        return self._run_compiled(images) if self.choice.compiled else self.network(images)

    def _run_compiled(self, images: Tensor) -> Any:
        if self.choice.any_batch:
            images = images.detach()  # the mark is on this tensor, and not on the caller's
            mark_batch_dynamic(images)
        with with_frozen_weights():
            if not self.choice.cuda_graph:
                return self._compiled(images)
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            # what the graph gives now lies where it will write the next time
            return tree_map(_clone, self._compiled(images))


@dataclass(frozen=True)
class Measurement:
    """How fast a choice was on the example.

    Attributes:
        choice: the way to run the network.
        images_per_second: the median over rounds; None if it was not measured.
        failure: why not, in a line.
    """

    choice: Choice
    images_per_second: float | None
    failure: str = ""


def measure(
    network: nn.Module,
    images: Tensor,
    dtype: torch.dtype,
    among: list[Choice],
    check: Callable[[nn.Module], str],
    seconds: float,
) -> tuple[Runner, list[Measurement]]:
    """Run a network in every way by turns, and keep the fastest.

    Args:
        network: is left as it is.
        images: what the speed is measured with.
        dtype: in which everything is computed.
        among: the ways. The first is how the network was checked before; what others raise is why they are not chosen.
        check: what is wrong with a runner's results, in a line; nothing if they are right.
        seconds: how long the turns take in all, beyond warming up and compiling.

    Returns:
        The fastest, and a measurement for each way.
    """
    plain, *others = among
    runners = {plain: Runner(network, plain, dtype)}
    failures: dict[Choice, str] = {}
    with progress.task("preparing", len(others)) as counted:
        for choice in others:
            counted.advance(0, note=str(choice))
            try:
                runner = Runner(network, choice, dtype)
                failure = check(runner)
            except Exception as error:  # no compiler on this machine, an unsupported operation, not enough memory
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
    return runners[fastest], [Measurement(c, speeds.get(c), failures.get(c, "")) for c in among]


def own_function(network: nn.Module) -> Callable[[Tensor], Any]:
    """A function that runs a network and shares its code with no other.

    The compiler keeps eight programs for a piece of code at most, and runs what comes later without a word as it is.
    All modules share the code that calls their forward pass.
    """

    def run(images: Tensor) -> Any:
        return network(images)

    return with_own_code(run)


def _with_affines(network: nn.Module) -> nn.Module:
    """The network with scales of one and shifts of zero where its norms have none, for the kernels want them."""
    for norm in network.modules():
        if isinstance(norm, nn.LayerNorm) and len(norm.normalized_shape) == 1:
            like = next(network.parameters())
            if norm.weight is None:
                norm.weight = nn.Parameter(like.new_ones(norm.normalized_shape), requires_grad=False)
            if norm.bias is None:
                norm.bias = nn.Parameter(like.new_zeros(norm.normalized_shape), requires_grad=False)
    return network


def _has_kernels(network: nn.Module) -> bool:
    fused = use_kernels(_with_affines(copy.deepcopy(network)))
    return [type(module) for module in fused.modules()] != [type(module) for module in network.modules()]


def _joined(parts: Sequence[Tensor], results: Sequence[Any]) -> Any:
    """What a network gives for parts of a batch, as it would give it for all of it."""
    for part, result in zip(parts, results, strict=True):
        for leaf in tree_leaves(result):
            if not isinstance(leaf, Tensor) or leaf.shape[:1] != part.shape[:1]:
                raise ValueError("the network gives something that is not of one image each")
    return tree_map(lambda *leaves: torch.cat(leaves), *results)


def _clone(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, Tensor) else leaf
