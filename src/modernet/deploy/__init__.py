"""Inference: exact rewrites of a network, the fastest way to run it on this device, export to files."""

from modernet.deploy.exporting.export import Exported, export_network, export_saved
from modernet.deploy.rewriting.apply import Rewrite
from modernet.deploy.running.detector import OptimizedDetector
from modernet.deploy.running.manifest import is_optimized
from modernet.deploy.running.onnx_runtime import OnnxRuntime, OnnxRuntimeWay
from modernet.deploy.running.openvino import OpenVino, OpenVinoWay
from modernet.deploy.running.optimized import OptimizedNetwork, optimize
from modernet.deploy.running.report import Report
from modernet.deploy.running.saved import load_optimized, load_saved_optimized
from modernet.deploy.running.torch_ways import TorchWay
from modernet.deploy.running.way import Measurement, Precision, Runner, Runtime, Way, Work

__all__ = [
    "Exported",
    "Measurement",
    "OnnxRuntime",
    "OnnxRuntimeWay",
    "OpenVino",
    "OpenVinoWay",
    "OptimizedDetector",
    "OptimizedNetwork",
    "Precision",
    "Report",
    "Rewrite",
    "Runner",
    "Runtime",
    "TorchWay",
    "Way",
    "Work",
    "export_network",
    "export_saved",
    "is_optimized",
    "load_optimized",
    "load_saved_optimized",
    "optimize",
]
