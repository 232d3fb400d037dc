"""What the runtimes beside PyTorch share: a network as a program, and a runner around what they make of it."""

from __future__ import annotations

import json
import threading
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modernet.deploy.running.casting import cast_copy, cast_results
from modernet.deploy.running.way import Runner, Work
from modernet.errors import InputError
from modernet.torch_internals import structure_from_json, structure_to_json, tree_unflatten

if TYPE_CHECKING:
    from torch.export import ExportedProgram  # takes seconds to import, and loading needs none

T = TypeVar("T")

MOST_SESSIONS = 2
"""Numbers of threads that a runner keeps a session for: a session has its own, and takes seconds to make. Threads of
Python may have different numbers, `torch.set_num_threads` being for the one that calls it."""
_RESULTS = "results.json"
_made: WeakKeyDictionary[nn.Module, dict[Hashable, Any]] = WeakKeyDictionary()


def once(network: nn.Module, key: Hashable, make: Callable[[], T]) -> T:
    """Return what several ways need to have made of a network; it is kept as long as the network lives."""
    made = _made.setdefault(network, {})
    if key not in made:
        made[key] = make()
    return cast(T, made[key])


@dataclass(frozen=True)
class Results:
    """What a network returns.

    Attributes:
        structure: of the containers around its tensors, as `torch.export` describes it.
        dtype: of tensors of floating-point numbers.
    """

    structure: Any
    dtype: torch.dtype

    @property
    def names(self) -> list[str]:
        """Names for the tensors, in order."""
        return [f"result_{index}" for index in range(self.structure.num_leaves)]

    def rebuilt(self, arrays: Sequence[NDArray[Any]]) -> Any:
        """Put arrays, in order, where the network has its tensors."""
        tensors = [torch.from_numpy(array) for array in arrays]
        return cast_results(tree_unflatten(tensors, self.structure), self.dtype)

    def write(self, folder: Path) -> None:
        about = {"structure": structure_to_json(self.structure), "dtype": str(self.dtype).removeprefix("torch.")}
        (folder / _RESULTS).write_text(json.dumps(about))

    @staticmethod
    def read(folder: Path) -> Results:
        about = json.loads((folder / _RESULTS).read_text())
        return Results(structure_from_json(about["structure"]), getattr(torch, about["dtype"]))


def takes_programs(work: Work) -> bool:
    """Return whether runtimes of the CPU apply to a work; translating its network takes seconds, like a compilation."""
    return work.compile and work.images.device.type == "cpu"


def program_of(work: Work) -> tuple[ExportedProgram, Results]:
    """Return a network as a program in float32 for any batch size, and what it returns.

    Raises:
        InputError: the network cannot be traced, or returns something else than tensors.
    """
    from torch.export.graph_signature import OutputKind, TensorArgument

    program = once(work.network, "program", lambda: _traced(work.network, work.images))
    outputs = [spec.arg for spec in program.graph_signature.output_specs if spec.kind == OutputKind.USER_OUTPUT]
    if not all(isinstance(output, TensorArgument) for output in outputs):
        raise InputError("the network returns something besides tensors")
    return program, Results(program.call_spec.out_spec, work.dtype)


def _traced(network: nn.Module, images: Tensor) -> ExportedProgram:
    from modernet.deploy.exporting.tracing import TRACED, trace

    network = cast_copy(network, torch.float32)
    network = network.to(memory_format=torch.contiguous_format)
    images = images[:1].to("cpu", torch.float32).expand(TRACED, -1, -1, -1).contiguous()
    with torch.inference_mode(False), torch.no_grad():
        return trace(network, images.clone(), any_batch=True)


def calibration_of(work: Work) -> Tensor:
    """Return the images that calibrate, in float32 on the CPU; of one work always the same tensor."""
    images = work.calibration
    assert images is not None, "int8 has images for its ranges"
    return once(work.network, ("calibration", images), lambda: images.to("cpu", torch.float32).contiguous())


class ForeignRunner(Runner):
    """A network run by another runtime, with as many threads as torch has at the time of the call.

    Several threads may call it at once.
    """

    own_threads = True

    def __init__(self, results: Results) -> None:
        super().__init__()
        self.results = results
        self.lock = threading.Lock()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Any:
        pixels = images.to("cpu", torch.float32).contiguous().numpy()
        return self.results.rebuilt(self.run(pixels, torch.get_num_threads()))

    @abstractmethod
    def run(self, images: NDArray[np.float32], threads: int) -> Sequence[NDArray[Any]]:
        """Return the tensors of the network's results for images `(b, c, h, w)`."""
