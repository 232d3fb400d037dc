"""Ways to run a network in PyTorch: memory layout, compilation, CUDA graph, kernels, bfloat16."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from modernet.deploy.running.aot import Program, write_program
from modernet.deploy.running.casting import cast_copy, cast_results, has_complex_weights
from modernet.deploy.running.way import Precision, Runner, Work
from modernet.kernels import Backend
from modernet.models.fused import use_kernels
from modernet.torch_internals import (
    has_bfloat16,
    mark_batch_dynamic,
    tree_leaves,
    tree_map,
    with_frozen_weights,
    with_own_code,
)

_PROGRAM, _RESULTS = "program.pt2", "results.json"
_CHUNK = 2
"""Chunk size where a batch is processed in chunks: the smallest that a program for any batch size supports."""


@dataclass(frozen=True)
class TorchWay:
    """A way to run a network in PyTorch.

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
        bfloat16: "cast" computes everything in bfloat16; "autocast" what torch's autocast does not keep in float32.
    """

    channels_last: bool
    compiled: bool = False
    any_batch: bool = False
    chunk: int = 0
    cuda_graph: bool = False
    kernels: Backend | None = None
    bfloat16: Literal["", "cast", "autocast"] = ""

    def __str__(self) -> str:
        words = ["compiled" if self.compiled else "eager"]
        words += ["any batch"] * self.any_batch + [f"chunks of {self.chunk}"] * (self.chunk > 0)
        words += ["CUDA graph"] * self.cuda_graph
        words += [] if self.kernels is None else [f"kernels {self.kernels}"]
        words += [f"bfloat16 by {self.bfloat16}"] * bool(self.bfloat16)
        return ", ".join([*words, "channels last" if self.channels_last else "contiguous"])

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    @property
    def precision(self) -> Precision:
        return "bf16" if self.bfloat16 else "exact"

    def prepare(self, work: Work) -> TorchRunner:
        _, c, h, w = work.images.shape
        return TorchRunner(work.network, self, work.dtype, (c, h, w))

    def load(self, folder: Path) -> TorchRunner:
        return ProgramRunner(self, folder)


PLAIN = TorchWay(channels_last=False)
"""The network as it is; always works."""


class PyTorch:
    """PyTorch as a runtime; its first exact way, `PLAIN`, always works."""

    name = "torch"

    def missing(self) -> str:
        return ""

    def ways(self, work: Work, precision: Precision) -> list[TorchWay]:
        device, batch = work.images.device, len(work.images)
        if precision == "exact":
            return exact_ways(work.network, device, batch, compile=work.compile)
        return bfloat16_ways(work) if precision == "bf16" else []


def exact_ways(network: nn.Module, device: torch.device, batch: int, *, compile: bool) -> list[TorchWay]:
    """Return the exact ways worth measuring for a network: the plain one, then the most promising first."""
    eager = TorchWay(channels_last=True)
    if not compile:
        return [PLAIN, eager]
    if device.type != "cuda":
        # on a CPU the compiler chooses channels last itself; a batch of one is always compiled for one
        found = [TorchWay(channels_last=True, compiled=True)]
        if batch > 1:
            found.insert(0, TorchWay(channels_last=True, compiled=True, any_batch=True))
        if batch > _CHUNK:
            found.append(TorchWay(channels_last=True, compiled=True, any_batch=True, chunk=_CHUNK))
        return [PLAIN, *found, eager]
    backends: tuple[Backend | None, ...] = (None, "auto", "triton") if _has_kernels(network) else (None,)
    found = [
        TorchWay(channels_last=True, compiled=True, cuda_graph=graph, kernels=kernels)
        for graph in (True, False)
        for kernels in backends
    ]
    return [PLAIN, *found, eager]


def bfloat16_ways(work: Work) -> list[TorchWay]:
    """Return the ways in bfloat16 worth measuring: compiled ones if that is allowed.

    None for a network that is in half precision already, or where the processor only imitates bfloat16. A network with
    complex weights is not cast.
    """
    if work.dtype.itemsize < torch.float32.itemsize or not has_bfloat16(work.images.device):
        return []
    exact = exact_ways(work.network, work.images.device, len(work.images), compile=work.compile)
    whole = [way for way in exact if way.compiled == work.compile and way.channels_last and not way.chunk]
    if has_complex_weights(work.network):
        return [replace(way, bfloat16="autocast") for way in whole]
    return [way for each in whole for way in (replace(each, bfloat16="cast"), replace(each, bfloat16="autocast"))]


class TorchRunner(Runner):
    """A network run by PyTorch."""

    way: TorchWay

    def __init__(
        self, network: nn.Module, way: TorchWay, dtype: torch.dtype, size: tuple[int, int, int] | None = None
    ) -> None:
        super().__init__()
        self.way = way
        self.dtype = dtype
        self._size = size
        network = cast_copy(network, self._computing).to(memory_format=way.memory_format)
        if way.kernels is not None:
            use_kernels(_with_affines(network), way.kernels)
        network = _Autocast(network) if way.bfloat16 == "autocast" else network
        if way.compiled:
            options: dict[str, Any] | None = {"triton.cudagraphs": True} if way.cuda_graph else None
            self._compiled = torch.compile(own_function(network), options=options)
        self.network = network

    @property
    def _computing(self) -> torch.dtype:
        return torch.bfloat16 if self.way.bfloat16 == "cast" else self.dtype

    def forward(self, images: Tensor) -> Any:
        # under inference_mode, or for its tensors, a program would be compiled again, with weights of its own
        with torch.inference_mode(False), torch.no_grad():
            images = images.to(self._computing).contiguous(memory_format=self.way.memory_format)
            images = images.clone() if images.is_inference() else images
            if self.way.bfloat16:
                return cast_results(self._run(images), self.dtype)
            if self.way.chunk == 0 or len(images) <= self.way.chunk:
                return self._run(images)
            chunks = images.tensor_split(len(images) // self.way.chunk)
            return _concatenated(chunks, [self._run(chunk) for chunk in chunks])

    def save(self, folder: Path) -> None:
        """Write a program for any batch size; nothing for an eager way, which the network itself is enough for.

        Raises:
            InputError: the network cannot be compiled into a file.
        """
        if self.way.compiled:
            assert self._size is not None, "a way that was prepared knows the size of its images"
            images = torch.zeros(2, *self._size, dtype=self._computing).contiguous(memory_format=self.way.memory_format)
            write_program(self.network, images, folder / _PROGRAM)
            (folder / _RESULTS).write_text(json.dumps({"dtype": str(self.dtype).removeprefix("torch.")}))

    def _run(self, images: Tensor) -> Any:
        return self._run_compiled(images) if self.way.compiled else self.network(images)

    def _run_compiled(self, images: Tensor) -> Any:
        if self.way.any_batch:
            images = images.detach()  # mark this tensor, not the caller's
            mark_batch_dynamic(images)
        with with_frozen_weights():
            if not self.way.cuda_graph:
                return self._compiled(images)
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            # the graph writes its next results to the same memory
            return tree_map(_clone, self._compiled(images))


class ProgramRunner(TorchRunner):
    """A compiled way read from a folder: a program instead of a network."""

    def __init__(self, way: TorchWay, folder: Path) -> None:
        Runner.__init__(self)
        self.way = way
        self.dtype = getattr(torch, json.loads((folder / _RESULTS).read_text())["dtype"])
        self._program = Program(folder / _PROGRAM)

    def _run(self, images: Tensor) -> Any:
        results = self._program(images.cpu())
        return results if images.device.type == "cpu" else tree_map(partial(_move, device=images.device), results)


def own_function(network: nn.Module) -> Callable[[Tensor], Any]:
    """Return a function that runs a network and has its own code object; see `with_own_code`."""

    def run(images: Tensor) -> Any:
        return network(images)

    return with_own_code(run)


class _Autocast(nn.Module):
    """A network under torch's autocast to bfloat16."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        with torch.autocast(images.device.type, torch.bfloat16):
            return self.network(images)


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


def _move(leaf: Any, device: torch.device) -> Any:
    return leaf.to(device) if isinstance(leaf, Tensor) else leaf


def _clone(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, Tensor) else leaf
