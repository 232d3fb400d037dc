"""Advise which network to use: many candidates, cheap evidence first, the rest of the time for the best of them."""

from modernet.studies.advise.request import AdviseRequest
from modernet.studies.advise.study import advise, network_folder

__all__ = ["AdviseRequest", "advise", "network_folder"]
