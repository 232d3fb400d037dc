"""Evaluations: a section for each data set, with each network's metrics, its worst classes and what it confuses."""

from modernet.report.evaluation.section import sections

__all__ = ["sections"]
