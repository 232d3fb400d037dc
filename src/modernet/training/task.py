"""The contract between the training loop and what it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor, nn

from modernet.records import Metric

HeldOut = Literal["validation", "test"]


class Batches(Protocol):
    """Training batches, each divided into micro-batches; resuming at any step yields the same ones."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps per epoch."""

    @property
    def samples_per_epoch(self) -> int:
        """Examples per epoch, over all processes."""

    @property
    def micro_batches_per_step(self) -> int:
        """Micro-batches per step in this process; their gradients are accumulated."""

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Any]:
        """Yield this process's micro-batches of an epoch, from a step on."""


class Task(ABC):
    """A network, its batches, its loss and its metrics.

    Attributes:
        kind: name of the task, as in `modernet.tasks`.
        metrics: what `evaluate` measures besides the loss; the first is the primary one.
        network: what is trained; the loop moves it to the device.
        batches: the training batches, on the device.
        evaluate_every: epochs between evaluations on the validation split; the last epoch is always evaluated.
        tested_epochs: how many of the last epochs are tested. With more than one, the record has mean and standard
            deviation of the primary metric over them, `test_NAME_mean` and `test_NAME_spread`; nothing is selected.
        unit: what the throughput counts, in the plural.
        details: those of the record, which `evaluate` sets on the test split; equal in every process.
    """

    kind: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    network: nn.Module
    batches: Batches
    evaluate_every: int = 1
    tested_epochs: int = 1
    unit: ClassVar[str] = "images"
    details: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def weight(self, batch: Any) -> Tensor | float:
        """Return what the loss of a micro-batch is a mean over: its number of images, valid pixels, tokens...

        The loss of a step is the mean over its whole weight, so that accumulation and several processes give what one
        process gives, however unevenly the weight is distributed. It may be 0.
        """

    @abstractmethod
    def loss(self, network: Callable[..., Any], batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the mean loss of a micro-batch over its weight, and other means over it to report, by name.

        A mean, rather than a sum, because torch rounds the two differently. It must be 0, with gradients of 0, where
        the weight is 0.
        """

    @abstractmethod
    def samples(self, batch: Any) -> int:
        """Return the number of examples in a micro-batch, for the throughput."""

    @abstractmethod
    def names(self, batch: Any) -> Callable[[], list[str]]:
        """Return a function that names the examples of a micro-batch; it must not keep device tensors alive."""

    @abstractmethod
    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        """Measure the metrics, `n` (examples behind them), and `loss` where there is one, on a split; equal in every
        process.
        """

    @abstractmethod
    def save(self, folder: Path, network: nn.Module) -> None:
        """Write the trained network to a folder."""

    def state(self) -> dict[str, Any]:
        """Return state of the task's own, such as a teacher or a queue, for checkpoints: tensors and plain values."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - by default there is none
        """Restore what `state` returned."""
