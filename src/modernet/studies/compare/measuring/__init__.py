"""What `modernet compare` measures of each trained network, and of the networks side by side."""

from modernet.studies.compare.measuring.costs import measure_costs
from modernet.studies.compare.measuring.outcomes import RunOutcomes, measure_run

__all__ = ["RunOutcomes", "measure_costs", "measure_run"]
