"""The processes that train one network together: started by torchrun, or this one alone.

torch is imported where it is needed, so that a command line can ask early whether it should speak.
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
_ENDED = "another process of this run has ended; its message says why"
_BROKEN = re.compile(r"by peer|[Bb]roken pipe|[Cc]onnection (was )?(closed|reset|refused)")


class FailedElsewhere(RunStopped):
    """Another process failed, and says why; this one ends with it."""


@dataclass(frozen=True)
class Processes:
    """This process among those that do the same work on different images."""

    rank: int = 0
    """Its number, from 0."""
    world: int = 1
    """How many there are."""
    patient: Any = field(default=None, compare=False, repr=False)
    """A group of torch.distributed that waits for a day, for what only the first process does."""

    @property
    def main(self) -> bool:
        """Whether this is the one that writes files and speaks to people."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        return self.world == 1

    def gather(self, value: Value, *, patiently: bool = False) -> list[Value]:
        """The value of every process, in the order of their numbers; all must call this at the same point.

        Args:
            patiently: wait for hours, if that is what another process needs to come here.

        Raises:
            FailedElsewhere: another process has ended.
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
        """Go on when every process is here."""
        self.gather(None)

    @contextmanager
    def losing_others(self) -> Iterator[None]:
        """Inside, a connection that breaks, in the exchange of gradients too, is told as what it means.

        Raises:
            FailedElsewhere: another process has ended.
        """
        try:
            yield
        except RuntimeError as error:
            if self.alone or not _BROKEN.search(str(error)):
                raise
            raise FailedElsewhere(_ENDED) from error

    @contextmanager
    def first(self) -> Iterator[None]:
        """The first process does what is inside before the others, who then find its files, where they share a disk.

        Raises:
            FailedElsewhere: in the others, when the first one has failed.
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
    """Whether torchrun, or a launcher like it, started several processes of which this is one."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def join_processes() -> Processes:
    """Meet the processes that torchrun started with this one, on all machines; `ALONE` without torchrun.

    NCCL carries what lies on CUDA devices, gloo the rest.
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
    """Part from the other processes."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()
