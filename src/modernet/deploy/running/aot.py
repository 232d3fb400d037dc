"""Programs compiled ahead of time: a file that any process on such a machine runs without compiling."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modernet.errors import InputError, one_line
from modernet.machine.cores import usable_cores
from modernet.torch_internals import compile_ahead, open_compiled, structure_from_json, tree_unflatten


def write_program(network: nn.Module, images: Tensor, path: Path) -> None:
    """Compile a network for any batch size and any number of threads, with frozen weights, and write the program.

    Args:
        network: in evaluation mode; left unchanged.
        images: `(b, c, h, w)`, an example of the dtype and memory format of later calls; b is 2 or more.
        path: ends in `.pt2`.

    Raises:
        InputError: the network cannot be traced or compiled.
    """
    from modernet.deploy.exporting.formats import without_false_alarms  # which imports the tracer

    try:
        with torch.inference_mode(False), torch.no_grad(), without_false_alarms():
            shapes = ({0: torch.export.Dim("batch")},)
            program = torch.export.export(copy.deepcopy(network), (images,), dynamic_shapes=shapes, strict=False)
            compile_ahead(program, path)
    except Exception as error:  # the tracer and the compiler may raise anything
        raise InputError(
            f"the network cannot be compiled into a file ({one_line(error, with_type=True)}); optimize it with "
            "compile=False"
        ) from error


class Program:
    """A program that `write_program` wrote: images of the example's dtype and memory format -> the network's output.

    Several threads may call it at once.
    """

    def __init__(self, path: Path) -> None:
        self._loaded = open_compiled(path, threads=usable_cores())
        self._structure = structure_from_json(self._loaded.get_call_spec()[1])

    def __call__(self, images: Tensor) -> Any:
        return tree_unflatten(self._loaded.boxed_run([images]), self._structure)
