"""Walks of the road from ResNet to ConvNeXt: a section for each."""

from modernet.report.road.section import sections

__all__ = ["sections"]
