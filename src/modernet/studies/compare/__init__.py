"""Compare networks on the user's data: all trained alike, measured for all that matters."""

from modernet.studies.compare.estimate import estimate_comparison
from modernet.studies.compare.request import CompareRequest
from modernet.studies.compare.study import compare

__all__ = ["CompareRequest", "compare", "estimate_comparison"]
