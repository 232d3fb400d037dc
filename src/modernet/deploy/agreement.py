"""Compare the results of a rewritten or exported network with the original's."""

from __future__ import annotations

from typing import Any

import torch

from modernet.torch_internals import tensors_in

TOLERANCE = 1e-4
"""Largest difference from the original's float32 results, relative to the largest result."""


def disagreement(results: Any, expected: Any, tolerance: float) -> str:
    """Return one line about how results differ from those expected; empty if they agree.

    Args:
        results, expected: tensors, or nested containers of them.
        tolerance: largest difference allowed, relative to the largest expected number.
    """
    error = relative_error(results, expected)
    return "" if error <= tolerance else f"results differ by {error:.1e} of the largest, more than {tolerance:.1e}"


def relative_error(results: Any, expected: Any) -> float:
    """Return the largest difference relative to the largest expected number, over all tensors; NaN counts as inf."""
    pairs = zip(tensors_in(results), tensors_in(expected), strict=True)
    errors = [(a.to(b.dtype) - b).abs().max() / b.abs().max().clamp_min(torch.finfo(b.dtype).tiny) for a, b in pairs]
    return max((float(error.nan_to_num(torch.inf)) for error in errors), default=0.0)
