"""The processes that train one network together: started by torchrun, or this one alone.

torch is imported late, so that the command line can ask early whether it is the one that prints.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from modernet.errors import InputError, RunStopped

if TYPE_CHECKING:
    from torch import Tensor

Value = TypeVar("Value")
_ENDED = "another process of this run has exited; see its error message"
_BROKEN = re.compile(r"by peer|[Bb]roken pipe|[Cc]onnection (was )?(closed|reset|refused)")


class FailedElsewhere(RunStopped):
    """Another process failed and reported why; this one exits with it."""


@dataclass(frozen=True)
class Processes:
    """This process, among those that do the same work on different images."""

    rank: int = 0
    """Index of this process."""
    world: int = 1
    """Number of processes."""
    patient: Any = field(default=None, compare=False, repr=False)
    """Gloo group with a timeout of one day, for barriers around work that only rank 0 does."""

    @property
    def main(self) -> bool:
        """Whether this is rank 0, which writes files and prints."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        return self.world == 1

    def gather(self, value: Value, *, patiently: bool = False) -> list[Value]:
        """Return the values of all processes, by rank; all must call this at the same point.

        Args:
            patiently: wait for up to a day, instead of torch's default timeout.

        Raises:
            FailedElsewhere: another process has exited.
        """
        if self.alone:
            return [value]
        import torch.distributed as dist

        values: list[Value | None] = [None] * self.world
        try:
            dist.all_gather_object(values, value, group=self.patient if patiently else None)
        except RuntimeError as error:
            raise FailedElsewhere(_ENDED) from error
        return values  # type: ignore[return-value]

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, on its device; all must call this at the same point.

        Raises:
            FailedElsewhere: another process has ended.
        """
        if self.alone:
            return value
        import torch.distributed as dist

        total = value.clone()
        try:
            dist.all_reduce(total)
        except RuntimeError as error:
            raise FailedElsewhere(_ENDED) from error
        return total

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.gather(None)

    @contextmanager
    def losing_others(self) -> Iterator[None]:
        """Turn a broken connection, also in the exchange of gradients, into `FailedElsewhere`.

        Raises:
            FailedElsewhere: another process has exited.
        """
        try:
            yield
        except RuntimeError as error:
            if self.alone or not _BROKEN.search(str(error)):
                raise
            raise FailedElsewhere(_ENDED) from error

    @contextmanager
    def first(self) -> Iterator[None]:
        """Run the body on rank 0 before the other processes, which then find its files if they share a disk.

        Raises:
            FailedElsewhere: in the other processes, if rank 0 failed.
        """
        if self.main:
            done = False
            try:
                yield
                done = True
            finally:
                self.gather(done, patiently=True)
            return
        if not self.gather(False, patiently=True)[0]:
            raise FailedElsewhere("")
        yield


ALONE = Processes()


def started_by_launcher() -> bool:
    """Return whether torchrun, or a similar launcher, started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def join_processes() -> Processes:
    """Join the processes that torchrun started with this one, on all machines; return `ALONE` without torchrun.

    NCCL transfers tensors on CUDA devices, gloo all others.

    Raises:
        InputError: torchrun started more processes than this machine has GPUs.
    """
    if not started_by_launcher():
        return ALONE
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        if torch.cuda.is_available():
            local, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
            if local >= devices:
                raise InputError(f"torchrun starts more processes here than the {devices} GPUs; lower --nproc-per-node")
            torch.cuda.set_device(local)
            dist.init_process_group("cpu:gloo,cuda:nccl")
        else:
            dist.init_process_group("gloo")
    patient = dist.new_group(backend="gloo", timeout=timedelta(days=1))
    return Processes(dist.get_rank(), dist.get_world_size(), patient)


def leave_processes() -> None:
    """Destroy the process group."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
