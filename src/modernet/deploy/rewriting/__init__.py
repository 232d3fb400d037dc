"""Exact rewrites for inference, justified by a trace of one forward pass.

`trace.py` records the pass, `projection.py` folds a scale and shift into a layer, `rewrites.py` decides what may be
folded, and `apply.py` applies all rewrites and checks the result.
"""
