"""GELU inside Triton kernels, exact as in `nn.GELU()`: Hendrycks and Gimpel 2016, arXiv 1606.08415."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def gelu(x):
    """`x` times the normal distribution function at `x`. Float32."""
    return x * (0.5 + 0.5 * tl.erf(x * 0.7071067811865476))


@triton.jit
def gelu_and_slope(x):
    """GELU and its derivative. Float32."""
    share = 0.5 + 0.5 * tl.erf(x * 0.7071067811865476)  # of the normal distribution below x
    density = 0.3989422804014327 * tl.exp(-0.5 * x * x)
    return x * share, share + x * density
