"""Gradient checkpointing: trade compute for memory (Chen et al. 2016, arXiv 1604.06174)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def checkpoint_block(block: nn.Module, *inputs: Any) -> Tensor:
    """Run a block without storing its activations; the backward pass recomputes them.

    Both passes draw the same random numbers. BatchNorm updates its running statistics only in the first pass.
    """
    y: Tensor = checkpoint(
        block,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), _running_statistics_frozen(block)),
    )
    return y


@contextlib.contextmanager
def _running_statistics_frozen(block: nn.Module) -> Iterator[None]:
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
