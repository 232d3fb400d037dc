"""Optimizer steps: parameter groups, learning rates, clipping."""
