"""8-bit integers in PyTorch: oneDNN's kernels for x86, with the rest of the network compiled around them."""

from __future__ import annotations

import copy
import platform
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modernet.deploy.running.casting import cast_results
from modernet.deploy.running.int8 import input_ranges
from modernet.deploy.running.int8_network import int8_network
from modernet.deploy.running.torch_ways import TorchRunner, TorchWay
from modernet.deploy.running.way import Precision, Work
from modernet.errors import InputError
from modernet.torch_internals import has_vnni, int8_kernels


@dataclass(frozen=True)
class Int8Way(TorchWay):
    """A way to run a network with 8-bit integers in PyTorch, on an x86 processor.

    Weights are symmetric with a scale for each output channel; an input has the range that calibration saw, one for the
    tensor, or one for each channel before depthwise convolutions. A processor without VNNI or AMX adds pairs of
    products in 16 bits; there weights are at most 63 instead of 127, so that no such sum saturates.
    """

    def __str__(self) -> str:
        return f"int8, {super().__str__()}"

    @property
    def precision(self) -> Precision:
        return "int8"

    def prepare(self, work: Work) -> Int8Runner:
        if work.calibration is None:
            raise InputError("8-bit integers need images for their ranges; give calibration images")
        network = copy.deepcopy(work.network).float()
        seen = input_ranges(network, work.calibration.float())
        ranges = {name: each for name, each in seen.items() if name not in work.kept}
        example = work.images[:1].float().repeat(2, 1, 1, 1)
        program, share = int8_network(network, example, ranges, largest=127 if has_vnni() else 63)
        channels, height, width = work.images.shape[1:]
        return Int8Runner(_Returning(program, work.dtype), self, (channels, height, width), share)


class TorchInt8:
    """PyTorch's 8-bit kernels as a runtime."""

    name = "torch int8"

    def missing(self) -> str:
        if platform.machine().lower() not in ("x86_64", "amd64"):
            return f"8-bit ways of PyTorch are for x86 processors; this one is {platform.machine()}"
        try:
            int8_kernels()
        except AttributeError:
            return "this build of PyTorch lacks oneDNN's 8-bit kernels; install one from pytorch.org"
        return ""

    def ways(self, work: Work, precision: Precision) -> list[Int8Way]:
        """Return the compiled way; without a compiler, dividing maps into steps takes longer than integers save."""
        if precision != "int8" or not work.compile or work.images.device.type != "cpu" or self.missing():
            return []
        return [Int8Way(channels_last=True, compiled=True, any_batch=True)]


class Int8Runner(TorchRunner):
    """A network whose convolutions and linear layers compute with 8-bit integers.

    Attributes:
        share: of the network's parameters, how many are weights in 8 bits; 1.0 is all.
    """

    def __init__(self, network: nn.Module, way: Int8Way, size: tuple[int, int, int], share: float) -> None:
        super().__init__(network, way, torch.float32, size)
        self.share = share


class _Returning(nn.Module):
    """A network whose floating-point results are returned in a dtype."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, images: Tensor) -> Any:
        return cast_results(self.network(images), self.dtype)
