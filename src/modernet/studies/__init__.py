"""Studies: many runs, one answer."""

from modernet.studies.factorial import run_factorial
from modernet.studies.walk import classic_recipe, walk_road

__all__ = ["classic_recipe", "run_factorial", "walk_road"]
