"""Studies: many runs, one answer."""

from modernet.studies.factorial import run_factorial
from modernet.studies.running.machines import Machines
from modernet.studies.walk import classic_recipe, walk_road

__all__ = ["Machines", "classic_recipe", "run_factorial", "walk_road"]
