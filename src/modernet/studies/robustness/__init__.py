"""How a network answers for images that are corrupted, shifted, resized or moved: `modernet robustness`."""

from modernet.studies.robustness.request import SUITES, RobustnessRequest
from modernet.studies.robustness.study import measure_baseline, measure_robustness
from modernet.tasks import NamedNetwork

__all__ = ["SUITES", "NamedNetwork", "RobustnessRequest", "measure_baseline", "measure_robustness"]
