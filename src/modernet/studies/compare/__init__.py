"""Compare networks on the user's data: all trained alike, measured for all that matters."""

from modernet.studies.compare.request import CompareRequest

__all__ = ["CompareRequest"]
