"""What a way to run a network is: found by a runtime, prepared from a network, timed against the others, saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from modernet.deploy.running.fidelity import Judgement

Precision = Literal["exact", "bf16", "int8"]
"""How exactly a way computes: like the network up to rounding, in bfloat16, or with 8-bit integers."""


@dataclass(frozen=True)
class Work:
    """What ways to run a network are prepared from; none of it is changed.

    Attributes:
        network: after the exact rewrites, in evaluation mode, without gradients, in float32 or wider.
        images: `(b, c, h, w)`, the example that is timed.
        dtype: dtype of exact ways, and of what every way returns.
        compile: whether programs may be compiled, which takes seconds to minutes each.
        calibration: `(n, c, h, w)`, images that give the ranges of 8-bit integers; None without int8.
        kept: names of layers of the network that int8 leaves in floating point.
    """

    network: nn.Module
    images: Tensor
    dtype: torch.dtype
    compile: bool = True
    calibration: Tensor | None = None
    kept: frozenset[str] = field(default=frozenset())


class Runner(nn.Module, ABC):
    """A network run in one way: images of any memory format, dtype and batch size -> the network's output.

    Attributes:
        way: the way.
        own_threads: whether it computes in threads of its own, which are faster for one caller at a time.
    """

    way: Way
    own_threads = False

    @abstractmethod
    def forward(self, images: Tensor) -> Any: ...

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write to an empty folder what `Way.load` needs on a machine of the same kind.

        Nothing is written where `Way.prepare` needs no more than the network: no compiling and no calibration.
        """


class Way(Protocol):
    """One way to run a network: a hashable value, and in words as `str`, with a runtime or precision of its own."""

    @property
    def precision(self) -> Precision: ...

    def prepare(self, work: Work) -> Runner:
        """Prepare to run a network in this way.

        Raises:
            Exception: whatever a compiler or a runtime raises that cannot; the way is then left out.
        """

    def load(self, folder: Path) -> Runner:
        """Read what a runner in this way has saved."""


class Runtime(Protocol):
    """Something that runs networks: PyTorch, ONNX Runtime, OpenVINO."""

    name: str

    def missing(self) -> str:
        """Return one line on what to install for all of its ways; empty if it is installed."""

    def ways(self, work: Work, precision: Precision) -> Sequence[Way]:
        """Return the ways in one precision that are worth measuring for this work, the most promising first.

        A way for which a package is missing is not among them.
        """


Check = Callable[[Runner], str]
"""Returns one line on what is wrong with a runner's results; empty if they are correct."""


@dataclass(frozen=True)
class Measurement:
    """The speed of a way on the example, and what reduced precision changes.

    Attributes:
        way: the way to run the network.
        images_per_second: median over turns; None if not measured.
        failure: one line on why it was not measured.
        judgement: on held-out images; None for exact ways, and for those slower than the chosen one.
        kept: layers that int8 leaves in floating point after it failed without, and what each costs as int8.
        without: the judgement with all layers in int8, if some are kept.
    """

    way: Way
    images_per_second: float | None
    failure: str = ""
    judgement: Judgement | None = None
    kept: tuple[tuple[str, float], ...] = ()
    without: Judgement | None = None
