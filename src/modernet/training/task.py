"""What the loop is told of a task: all that it may know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor, nn


class Batches(Protocol):
    """Batches of an epoch, in parts; from any step on, the same ones as in an epoch that began at step 0."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""

    @property
    def parts_per_step(self) -> int:
        """Parts of a batch that this process sees one after the other; their gradients are added."""

    def samples_in_step(self, step: int) -> int:
        """Images in the batch of a step of the epoch, over all parts and processes."""

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Any]:
        """Yield this process's parts of the batches of an epoch, from a step on."""


class Task(Protocol):
    """What is trained."""

    @property
    def network(self) -> nn.Module:
        """What is trained; moved to the device by the loop."""

    @property
    def loader(self) -> Batches:
        """The training batches, on the device."""

    def loss(self, network: Callable[..., Any], batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss to minimise, and other means over the part to report (`top1` in per cent)."""

    def samples(self, batch: Any) -> int:
        """Images in a part of a batch."""

    def names(self, batch: Any) -> Callable[[], list[str]]:
        """A function that gives the names of a part's images; it should hold nothing of the device."""

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Metrics on the validation split, after every epoch; the same in every process."""
