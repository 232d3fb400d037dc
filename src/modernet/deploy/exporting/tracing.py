"""Trace a network: a program of its operations that needs none of its code."""

from __future__ import annotations

from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from modernet.deploy.exporting.formats import without_false_alarms
from modernet.errors import InputError, one_line

TRACED = 2
"""Batch size for tracing; with 1, torch.export would specialise to 1."""


def trace(network: nn.Module, images: Tensor, *, any_batch: bool) -> ExportedProgram:
    """Trace a network's graph.

    Args:
        network: in evaluation mode, on the CPU.
        images: `(b, c, h, w)`; for any batch size, `TRACED` of them.
        any_batch: for any batch size, instead of that of the images.

    Raises:
        InputError: the network's code cannot be traced.
    """
    shapes = ({0: Dim("batch")},) if any_batch else None
    try:
        with without_false_alarms():
            return export(network, (images,), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # code from elsewhere may raise anything under the tracer
        words = " for any batch size" if any_batch else ""
        raise InputError(f"the network cannot be exported{words}: {one_line(error, with_type=True)}") from error
