"""Triton's interpreter, patched where it differs from a GPU (seen in Triton 3.9)."""

from __future__ import annotations

from typing import Any

import torch


def patch_bfloat16() -> None:
    """Round to bfloat16 as GPUs do, and multiply its numbers in `tl.dot`.

    The interpreter keeps bfloat16 as the upper half of a float32, in integers. It cuts the lower half off, which is an
    error twice as large as that of rounding, and `tl.dot` multiplies the integers.
    """
    import numpy as np
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    dot, truncate = InterpreterBuilder.create_dot, InterpreterBuilder.create_fp_trunc

    def widened(x: TensorHandle) -> TensorHandle:
        if x.dtype.scalar != tl.bfloat16:
            return x
        return TensorHandle((x.data.astype(np.uint32) << 16).view(np.float32), tl.float32)

    def create_dot(self: InterpreterBuilder, a: TensorHandle, b: TensorHandle, *rest: Any) -> TensorHandle:
        return dot(self, widened(a), widened(b), *rest)

    def create_fp_trunc(self: InterpreterBuilder, x: TensorHandle, dtype: tl.dtype) -> TensorHandle:
        if x.dtype.scalar != tl.float32 or dtype.scalar != tl.bfloat16:
            return truncate(self, x, dtype)
        rounded = torch.from_numpy(np.ascontiguousarray(x.data)).bfloat16().view(torch.int16).numpy()
        return TensorHandle(rounded.view(np.uint16), tl.bfloat16)

    InterpreterBuilder.create_dot, InterpreterBuilder.create_fp_trunc = create_dot, create_fp_trunc
