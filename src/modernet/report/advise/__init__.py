"""Advice on which network to use: a section for each."""

from modernet.report.advise.section import sections

__all__ = ["sections"]
