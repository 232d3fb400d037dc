"""Tests of robustness: networks on corrupted, shifted and resized images, and how well they know."""

from modernet.report.robustness.section import sections

__all__ = ["sections"]
