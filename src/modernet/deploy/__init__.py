"""Networks made fast for inference: exact rewrites, then what a short measurement on this device says is fastest."""

from modernet.deploy.choices import Choice, Measurement
from modernet.deploy.optimized import OptimizedNetwork, Report, Rewrite, optimize

__all__ = ["Choice", "Measurement", "OptimizedNetwork", "Report", "Rewrite", "optimize"]
