"""Fused operations, a folder each: `reference.py` is plain PyTorch and the truth, `triton_kernel.py` the fast path.

Which of the two runs is chosen in `backend.py`. Nothing is compiled when the package is installed or imported.
"""

from modernet.kernels.backend import Backend, set_measured, use_triton

__all__ = ["Backend", "set_measured", "use_triton"]
