"""Exact rewrites for inference: `trace.py` records a forward pass, `projection.py` folds, `rewrites.py` decides."""
