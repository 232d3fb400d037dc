"""The work of a network, counted on the meta device: floating-point operations, and bytes read and written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from modernet.counting.macs import on_meta
from modernet.torch_internals import tensors_in

_aten = torch.ops.aten


@dataclass(frozen=True)
class Work:
    """The work of one batch.

    Attributes:
        flops: floating-point operations of convolutions and matrix products; a multiply-accumulate counts as two.
        eager_bytes: bytes read and written if every operation reads its inputs from memory and writes its outputs to
            memory.
        fused_bytes: the same if pointwise operations cost nothing, because they are fused into their neighbours: the
            best that a compiler can reach.
    """

    flops: int
    eager_bytes: int
    fused_bytes: int


def count_work(
    network: nn.Module,
    inputs: Sequence[Tensor],
    *,
    training: bool,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Work:
    """Count the work of a forward pass, or of a forward and backward pass, for one batch.

    Views are free, and a broadcast tensor counts with its size in memory. Attention by `scaled_dot_product_attention`
    is one operation, which does not write the matrix of scores. Everything is counted in `dtype`, so training under
    autocast is counted without its float32 operations and its casts. The optimizer's step is not counted.

    Args:
        inputs: the arguments of the network, on the meta device, such as `meta_images`.

    Raises:
        Exception: whatever a network raises that does not run without values.
    """
    meta = on_meta(network).to(dtype=dtype, memory_format=memory_format).train(training)
    if not training:
        meta.requires_grad_(False)
    batch = [x.to(dtype=dtype, memory_format=memory_format) if x.is_floating_point() else x for x in inputs]
    counter = FlopCounterMode(display=False, custom_mapping={_aten.convolution_backward: _convolution_backward_flops})
    with _FusedAttention(), counter, _Traffic() as traffic, torch.set_grad_enabled(training):
        scores = tensors_in(meta(*batch))
        if training:
            torch.autograd.backward(scores, [torch.empty_like(leaf) for leaf in scores])
    return Work(counter.get_total_flops(), traffic.eager_bytes, traffic.fused_bytes)


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums the bytes that operations read and write."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.eager_bytes = 0
        self.fused_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func not in _FREE and not func.is_view:
            moved = _bytes((args, kwargs)) + _bytes(out)
            self.eager_bytes += moved
            if torch.Tag.pointwise not in func.tags and func not in _POINTWISE:
                self.fused_bytes += moved
        return out


_FREE = (_aten._unsafe_view.default, _aten.empty.memory_format, _aten.empty_like.default, _aten.new_empty.default)
"""Operations that touch no memory but are not marked as views."""
_POINTWISE = (_aten._to_copy.default, _aten.copy_.default)
"""Operations that are pointwise but not tagged as such."""


def _bytes(tensors: Any) -> int:
    """Return the bytes in memory of all tensors in a structure; a broadcast dimension takes none."""
    return sum(min(leaf.nbytes, leaf.untyped_storage().nbytes()) for leaf in tensors_in(tensors))


def _convolution_backward_flops(
    grad_shape: Sequence[int], x_shape: Sequence[int], weight_shape: Sequence[int], *args: Any, **_: Any
) -> int:
    """Each of the two gradients costs as much as the forward pass; torch's own count is wrong with groups."""
    transposed, wanted = args[4], args[7]  # of aten.convolution_backward
    positions = x_shape if transposed else grad_shape
    forward = 2 * positions[0] * math.prod(positions[2:]) * math.prod(weight_shape)
    return int(forward * sum(wanted[:2]))


class _FusedAttention(TorchFunctionMode):
    """Keeps attention one operation, as on real devices: the meta device decomposes it into products and a softmax."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return _attention(*args, **kwargs)
        return func(*args, **kwargs)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    bias = None if attn_mask is None else attn_mask.to(query.dtype).expand(*query.shape[:-1], key.shape[-2])
    out: Tensor = _aten._scaled_dot_product_efficient_attention(
        query, key, value, bias, query.requires_grad, dropout_p, is_causal, scale=scale
    )[0]
    return out
