"""Options shared by all Triton kernel launches."""

from __future__ import annotations

import torch

OPTIONS = {
    # contract a * b + c to an FMA, as PyTorch's own kernels do; Triton 3.9 warns if this is left at its default
    "enable_fp_fusion": True,
}


def dot_precision() -> str:
    """Return the precision of `tl.dot` for float32, following PyTorch's current setting."""
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "ieee"
