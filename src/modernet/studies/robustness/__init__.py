"""How a network answers for images that are corrupted, shifted, resized or moved: `modernet robustness`."""

from modernet.studies.robustness.network import NamedNetwork
from modernet.studies.robustness.request import SUITES, RobustnessRequest
from modernet.studies.robustness.study import measure_baseline, measure_robustness

__all__ = ["SUITES", "NamedNetwork", "RobustnessRequest", "measure_baseline", "measure_robustness"]
