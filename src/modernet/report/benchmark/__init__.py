"""Runs of `modernet benchmark`: a section for each, the newest first."""

from modernet.report.benchmark.section import sections

__all__ = ["sections"]
