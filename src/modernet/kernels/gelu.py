"""GELU inside Triton kernels, exact as in `nn.GELU()`: Hendrycks and Gimpel 2016, arXiv 1606.08415."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def gelu(x):
    """Return `x` times the standard normal CDF at `x`, in float32."""
    return x * (0.5 + 0.5 * tl.erf(x * 0.7071067811865476))


@triton.jit
def gelu_and_slope(x):
    """Return GELU and its derivative, in float32."""
    cdf = 0.5 + 0.5 * tl.erf(x * 0.7071067811865476)
    pdf = 0.3989422804014327 * tl.exp(-0.5 * x * x)
    return x * cdf, cdf + x * pdf
