"""The Long Range Arena on this machine: a section for each."""

from modernet.report.arena.section import sections

__all__ = ["sections"]
