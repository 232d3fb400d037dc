"""The base of all configs of networks for point clouds, and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from modernet.data.points.inputs import PointInputs
from modernet.registry import Registry


@dataclass(frozen=True, kw_only=True)
class PointConfig(ABC):
    """What all have. Each file of a model extends it with the model's own fields."""

    @abstractmethod
    def classifier(self, inputs: PointInputs, num_classes: int) -> nn.Module:
        """Make a network for the class of a cloud: float32 (b, n, channels) -> logits (b, num_classes)."""

    @abstractmethod
    def segmenter(self, inputs: PointInputs, num_classes: int) -> nn.Module:
        """Make a network for the class of each point: float32 (b, n, channels) and int64 (b,), the category of each
        shape, which it ignores where `inputs.categories` is 0 -> logits (b, n, num_classes).
        """


@dataclass(frozen=True)
class PointEntry:
    """A named model, and where its values are from."""

    name: str
    config: PointConfig
    source: str


POINT_MODELS: Registry[PointEntry] = Registry("model for point clouds")

Config = TypeVar("Config", bound=PointConfig)


def register_point_model(source: str) -> Callable[[Callable[[], Config]], Callable[[], Config]]:
    """Register the config that the decorated function returns, under the function's name."""

    def register(variant: Callable[[], Config]) -> Callable[[], Config]:
        POINT_MODELS.add(variant.__name__, PointEntry(variant.__name__, variant(), source))
        return variant

    return register
