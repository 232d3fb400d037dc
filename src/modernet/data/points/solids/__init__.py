"""Labelled solids, generated: point clouds for a machine that has no others."""
