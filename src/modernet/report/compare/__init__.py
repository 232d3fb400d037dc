"""Comparisons of networks that were trained alike: a section for each."""

from modernet.report.compare.section import sections

__all__ = ["sections"]
