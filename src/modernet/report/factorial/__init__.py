"""Factorial studies of decisions of the road: a section for each."""

from modernet.report.factorial.section import sections

__all__ = ["sections"]
