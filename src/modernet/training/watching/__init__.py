"""Watching a run: pace, energy, cost, curves."""
