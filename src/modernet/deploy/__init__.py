"""Inference: exact rewrites of a network, the fastest way to run it on this device, export to files."""

from modernet.deploy.exporting.export import Exported, export_network, export_saved
from modernet.deploy.rewriting.apply import Rewrite
from modernet.deploy.running.choices import Choice, Measurement
from modernet.deploy.running.detector import OptimizedDetector
from modernet.deploy.running.optimized import OptimizedNetwork, optimize
from modernet.deploy.running.report import Report

__all__ = [
    "Choice",
    "Exported",
    "Measurement",
    "OptimizedDetector",
    "OptimizedNetwork",
    "Report",
    "Rewrite",
    "export_network",
    "export_saved",
    "optimize",
]
