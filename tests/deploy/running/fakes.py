"""A classifier, and ways to run it of known speed and error."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modernet.deploy import Precision, Runner, Work

CLASSES = 5


class Classifier(nn.Module):
    """Three linear layers with class scores."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Linear(48, 32), nn.Linear(32, 32), nn.Linear(32, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.second(self.first(images.flatten(1)).relu()).relu()
        scores: Tensor = self.head(x)
        return scores


@dataclass(frozen=True)
class FakeWay:
    """Runs a `Classifier` with errors in the weights of some of its layers.

    Attributes:
        precision: that it pretends to have.
        seconds: that each call pretends to take, where PyTorch takes 1.
        errors: name of a layer and its error: the scale of noise relative to its weights.
        kept_seconds: what each layer adds that is kept in floating point.
    """

    precision: Precision
    seconds: float
    errors: tuple[tuple[str, float], ...] = ()
    kept_seconds: float = 0.0

    def __str__(self) -> str:
        return f"fake {self.precision}"

    def prepare(self, work: Work) -> FakeRunner:
        return FakeRunner(self, work)

    def load(self, folder: Path) -> FakeRunner:
        raise NotImplementedError


def fake_seconds(call: partial[Any], repeats: int, device: torch.device) -> float:
    """Return what `repeats` calls of a runner pretend to take."""
    runner = call.func
    return repeats * (runner.seconds if isinstance(runner, FakeRunner) else 1.0)


class FakeRunner(Runner):
    way: FakeWay

    def __init__(self, way: FakeWay, work: Work) -> None:
        super().__init__()
        self.way, self.network = way, copy.deepcopy(work.network)
        self.seconds = way.seconds + way.kept_seconds * len(work.kept)
        generator = torch.Generator().manual_seed(0)
        for name, error in way.errors:
            weight = self.network.get_parameter(f"{name}.weight")
            noise = error * torch.randn(weight.shape, generator=generator)
            if name not in work.kept:
                weight.mul_(1 + noise)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Any:
        return self.network(images)

    def save(self, folder: Path) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class FakeRuntime:
    """A runtime with given ways, or one that is not installed."""

    found: Sequence[FakeWay] = ()
    absent: str = ""
    name = "fake"

    def missing(self) -> str:
        return self.absent

    def ways(self, work: Work, precision: Precision) -> list[FakeWay]:
        if self.absent:
            return []
        assert (work.calibration is not None) or precision != "int8"
        return [way for way in self.found if way.precision == precision]
