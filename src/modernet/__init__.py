"""modernet: a small, fast lab for vision architectures.

>>> import modernet
>>> network = modernet.create_model("convnext_tiny", num_classes=10)
>>> modernet.list_models("resnet1?")
['resnet18']

Names are loaded at their first use, so that importing the package costs nothing and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modernet.benchmark import benchmark_models as benchmark_models
    from modernet.catalogue import is_model as is_model
    from modernet.catalogue import list_models as list_models
    from modernet.catalogue import list_weights as list_weights
    from modernet.data import open_dataset as open_dataset
    from modernet.data import pack_dataset as pack_dataset
    from modernet.data.checking.check import check_images as check_images
    from modernet.deploy import export_network as export_network
    from modernet.deploy import export_saved as export_saved
    from modernet.deploy import load_optimized as load_optimized
    from modernet.deploy import optimize as optimize
    from modernet.errors import InputError as InputError
    from modernet.models.fused import use_kernels as use_kernels
    from modernet.recipes import get_recipe as get_recipe
    from modernet.studies import Machines as Machines
    from modernet.studies import run_factorial as run_factorial
    from modernet.studies import walk_road as walk_road
    from modernet.tasks import load_network as load_network
    from modernet.tasks import train_classifier as train_classifier
    from modernet.weights import NetworkSpec as NetworkSpec
    from modernet.weights import convert as convert
    from modernet.weights import create_model as create_model
    from modernet.weights import load_model as load_model
    from modernet.weights import load_weights as load_weights

_HOMES = {
    "InputError": "errors",
    "Machines": "studies",
    "NetworkSpec": "weights",
    "benchmark_models": "benchmark",
    "check_images": "data.checking.check",
    "convert": "weights",
    "create_model": "weights",
    "export_network": "deploy",
    "export_saved": "deploy",
    "get_recipe": "recipes",
    "is_model": "catalogue",
    "list_models": "catalogue",
    "list_weights": "catalogue",
    "load_model": "weights",
    "load_network": "tasks",
    "load_optimized": "deploy",
    "load_weights": "weights",
    "open_dataset": "data",
    "optimize": "deploy",
    "pack_dataset": "data",
    "run_factorial": "studies",
    "train_classifier": "tasks",
    "use_kernels": "models.fused",
    "walk_road": "studies",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'modernet' has no attribute {name!r}")
    return getattr(importlib.import_module(f"modernet.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
