"""What the zoo knows of a variant: its config, its network and what was published about it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from modernet.models.backbone import Backbone, ModelConfig
from modernet.registry import Registry

Config = TypeVar("Config", bound=ModelConfig)


@dataclass(frozen=True)
class Published:
    """What the source says about a variant. Parameters and MACs are recomputed by a test."""

    source: str
    """Paper and place, in a few words."""
    params_m: float | None = None
    """Parameters in millions."""
    gmacs: float | None = None
    """Multiply-accumulates in units of 10^9 for one image of `image_size`."""
    top1: float | None = None
    """ImageNet-1K top-1 in per cent, trained on ImageNet-1K alone, at `image_size`."""
    image_size: int = 224
    """Side of the square image in pixels."""


@dataclass(frozen=True)
class ModelEntry:
    """A named variant: a config, the network that it configures, and what was published."""

    name: str
    config: ModelConfig
    network: Callable[[Any], Backbone]
    published: Published

    @property
    def family(self) -> str:
        """Name of the file that the network is in."""
        return self.network.__module__.rpartition(".")[2]

    @property
    def about(self) -> str:
        """What that file says of the family: papers, the idea, a diagram."""
        return inspect.cleandoc(sys.modules[self.network.__module__].__doc__ or "")


MODELS: Registry[ModelEntry] = Registry("model")
TIMM_PREFIX = "timm:"
"""What names of timm's networks begin with."""


def register_model(
    network: Callable[[Config], Backbone], published: Published
) -> Callable[[Callable[[], Config]], Callable[[], Config]]:
    """Register the decorated function, which returns a config, under its own name."""

    def register(variant: Callable[[], Config]) -> Callable[[], Config]:
        MODELS.add(variant.__name__, ModelEntry(variant.__name__, variant(), network, published))
        return variant

    return register
