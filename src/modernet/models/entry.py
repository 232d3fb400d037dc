"""An entry of the zoo: a variant's config, its network class and its published figures."""

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
    """Published figures of a variant. A test recomputes parameters and MACs."""

    source: str
    """Paper and table."""
    params_m: float | None = None
    """Parameters in millions."""
    gmacs: float | None = None
    """Multiply-accumulates in units of 10^9, for one image of `image_size`."""
    top1: float | None = None
    """ImageNet-1K top-1 accuracy in %, trained on ImageNet-1K only, at `image_size`."""
    image_size: int = 224
    """Side of the square input in pixels."""


@dataclass(frozen=True)
class ModelEntry:
    """A named variant: its config, the network class it configures, and its published figures."""

    name: str
    config: ModelConfig
    network: Callable[[Any], Backbone]
    published: Published

    @property
    def family(self) -> str:
        """Name of the module that defines the network."""
        return self.network.__module__.rpartition(".")[2]

    @property
    def about(self) -> str:
        """Docstring of that module: papers, idea, diagram."""
        return inspect.cleandoc(sys.modules[self.network.__module__].__doc__ or "")


MODELS: Registry[ModelEntry] = Registry("model")


def register_model(
    network: Callable[[Config], Backbone], published: Published
) -> Callable[[Callable[[], Config]], Callable[[], Config]]:
    """Register the config that the decorated function returns, under the function's name."""

    def register(variant: Callable[[], Config]) -> Callable[[], Config]:
        MODELS.add(variant.__name__, ModelEntry(variant.__name__, variant(), network, published))
        return variant

    return register
