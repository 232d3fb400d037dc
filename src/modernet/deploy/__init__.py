"""Inference: exact rewrites of a network, the fastest way to run it on this device, export to files.

Names are loaded at their first use: those of detectors import torchvision, which takes longer to import than torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modernet.deploy.exporting.export import Exported as Exported
    from modernet.deploy.exporting.export import export_network as export_network
    from modernet.deploy.exporting.export import export_saved as export_saved
    from modernet.deploy.rewriting.apply import Rewrite as Rewrite
    from modernet.deploy.running.detector import OptimizedDetector as OptimizedDetector
    from modernet.deploy.running.manifest import is_optimized as is_optimized
    from modernet.deploy.running.network import OptimizedNetwork as OptimizedNetwork
    from modernet.deploy.running.optimized import optimize as optimize
    from modernet.deploy.running.report import Report as Report
    from modernet.deploy.running.saved import load_optimized as load_optimized
    from modernet.deploy.running.saved import load_saved_optimized as load_saved_optimized
    from modernet.deploy.running.torch_ways import TorchWay as TorchWay
    from modernet.deploy.running.way import Measurement as Measurement
    from modernet.deploy.running.way import Precision as Precision
    from modernet.deploy.running.way import Runner as Runner
    from modernet.deploy.running.way import Runtime as Runtime
    from modernet.deploy.running.way import Way as Way
    from modernet.deploy.running.way import Work as Work

_HOMES = {
    "Exported": "exporting.export",
    "Measurement": "running.way",
    "OptimizedDetector": "running.detector",
    "OptimizedNetwork": "running.network",
    "Precision": "running.way",
    "Report": "running.report",
    "Rewrite": "rewriting.apply",
    "Runner": "running.way",
    "Runtime": "running.way",
    "TorchWay": "running.torch_ways",
    "Way": "running.way",
    "Work": "running.way",
    "export_network": "exporting.export",
    "export_saved": "exporting.export",
    "is_optimized": "running.manifest",
    "load_optimized": "running.saved",
    "load_saved_optimized": "running.saved",
    "optimize": "running.optimized",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'modernet.deploy' has no attribute {name!r}")
    return getattr(importlib.import_module(f"modernet.deploy.{_HOMES[name]}"), name)
