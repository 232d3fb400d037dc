"""The runtimes that `optimize` measures against each other."""

from __future__ import annotations

from modernet.deploy.running.torch_ways import PyTorch
from modernet.deploy.running.way import Runtime

RUNTIMES: tuple[Runtime, ...] = (PyTorch(),)
"""In the order in which their ways are prepared: first those that take the least time to prepare."""
