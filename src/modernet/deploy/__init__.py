"""Inference: exact rewrites of a network, the fastest way to run it on this device, export to files."""

from modernet.deploy.exporting.export import Exported, export_network, export_saved
from modernet.deploy.rewriting.apply import Rewrite
from modernet.deploy.running.choices import Choice, Measurement
from modernet.deploy.running.optimized import OptimizedNetwork, Report, optimize

__all__ = [
    "Choice",
    "Exported",
    "Measurement",
    "OptimizedNetwork",
    "Report",
    "Rewrite",
    "export_network",
    "export_saved",
    "optimize",
]
