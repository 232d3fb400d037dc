"""Studies: many runs, one answer."""

from modernet.studies.walk import CHART_NAME, PAGE_NAME, classic_recipe, walk_road

__all__ = ["CHART_NAME", "PAGE_NAME", "classic_recipe", "walk_road"]
