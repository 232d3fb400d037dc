"""Advise which network to use: many candidates, cheap evidence first, the rest of the time for the best of them."""

from modernet.studies.advise.request import AdviseRequest

__all__ = ["AdviseRequest"]
