"""Training runs: a section for each data set."""

from modernet.report.training.section import sections

__all__ = ["sections"]
