"""Ways to run a network in PyTorch: memory layout, compilation, CUDA graph, kernels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modernet.deploy.running.way import Precision, Runner, Work
from modernet.kernels import Backend
from modernet.models.fused import use_kernels
from modernet.torch_internals import mark_batch_dynamic, tree_leaves, tree_map, with_frozen_weights, with_own_code

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

    @property
    def precision(self) -> Precision:
        return "exact"

    def prepare(self, work: Work) -> TorchRunner:
        return TorchRunner(work.network, self, work.dtype)

    def load(self, folder: Path) -> TorchRunner:
        raise NotImplementedError


class PyTorch:
    """PyTorch as a runtime; its first exact way always works."""

    name = "torch"

    def missing(self) -> str:
        return ""

    def ways(self, work: Work, precision: Precision) -> list[TorchWay]:
        if precision != "exact":
            return []
        return exact_ways(work.network, work.images.device, len(work.images), compile=work.compile)


def exact_ways(network: nn.Module, device: torch.device, batch: int, *, compile: bool) -> list[TorchWay]:
    """Return the exact ways worth measuring for a network on a device, the simplest first."""
    found = [TorchWay(channels_last=False), TorchWay(channels_last=True)]
    if not compile:
        return found
    if device.type != "cuda":
        # on a CPU the compiler chooses channels last itself; a batch of one is always compiled for one
        found.append(TorchWay(channels_last=True, compiled=True))
        if batch > 1:
            found.append(TorchWay(channels_last=True, compiled=True, any_batch=True))
        if batch > _CHUNK:
            found.append(TorchWay(channels_last=True, compiled=True, any_batch=True, chunk=_CHUNK))
        return found
    backends: tuple[Backend | None, ...] = (None, "auto", "triton") if _has_kernels(network) else (None,)
    return found + [
        TorchWay(channels_last=True, compiled=True, cuda_graph=graph, kernels=kernels)
        for kernels in backends
        for graph in (False, True)
    ]


class TorchRunner(Runner):
    """A network run by PyTorch."""

    way: TorchWay

    def __init__(self, network: nn.Module, way: TorchWay, dtype: torch.dtype) -> None:
        super().__init__()
        self.way = way
        self.dtype = dtype
        network = copy.deepcopy(network).to(dtype=dtype, memory_format=way.memory_format)  # type: ignore[call-overload]
        if way.kernels is not None:
            use_kernels(_with_affines(network), way.kernels)
        if way.compiled:
            options: dict[str, Any] | None = {"triton.cudagraphs": True} if way.cuda_graph else None
            self._compiled = torch.compile(own_function(network), options=options)
        self.network = network

    def forward(self, images: Tensor) -> Any:
        # under inference_mode, or for its tensors, a program would be compiled again, with weights of its own
        with torch.inference_mode(False), torch.no_grad():
            images = images.to(self.dtype).contiguous(memory_format=self.way.memory_format)
            images = images.clone() if images.is_inference() else images
            if self.way.chunk == 0 or len(images) <= self.way.chunk:
                return self._run(images)
            chunks = images.tensor_split(len(images) // self.way.chunk)
            return _concatenated(chunks, [self._run(chunk) for chunk in chunks])

    def save(self, folder: Path) -> None:
        raise NotImplementedError

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
