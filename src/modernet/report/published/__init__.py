"""The explorer of published results: one page on which anybody's measured points can be drawn among them."""

from modernet.report.published.explorer import write_explorer

__all__ = ["write_explorer"]
