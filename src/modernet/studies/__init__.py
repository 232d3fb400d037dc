"""Studies: many runs, one answer."""

from modernet.studies.walk import classic_recipe, walk_road

__all__ = ["classic_recipe", "walk_road"]
