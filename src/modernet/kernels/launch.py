"""What launches of Triton kernels share."""

from __future__ import annotations

import torch

OPTIONS = {
    # a * b + c rounded once, as in PyTorch's own kernels; Triton 3.9 warns where this is left to its default
    "enable_fp_fusion": True,
}


def dot_precision() -> str:
    """How `tl.dot` multiplies float32: as PyTorch does at this moment."""
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "ieee"
