"""Gradient checkpointing: less memory for more time (Chen et al. 2016, arXiv 1604.06174)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def checkpoint_block(block: nn.Module, x: Tensor) -> Tensor:
    """Run a block without keeping what is inside it; the backward pass computes that again.

    Random numbers are drawn alike both times. BatchNorm counts its statistics once, in the first pass.
    """
    y: Tensor = checkpoint(
        block, x, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), _statistics_left_alone(block))
    )
    return y


@contextlib.contextmanager
def _statistics_left_alone(block: nn.Module) -> Iterator[None]:
    norms = [module for module in block.modules() if isinstance(module, _BATCH_NORMS) and module.training]
    momenta = [norm.momentum for norm in norms]
    counts = [None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone() for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None and count is not None:
                norm.num_batches_tracked.copy_(count)
