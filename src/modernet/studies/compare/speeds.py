"""How fast the candidates of a comparison train, measured in turns."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from modernet import progress
from modernet.errors import one_line
from modernet.files.survival import surviving
from modernet.machine.memory import is_out_of_memory, release
from modernet.studies.compare.candidates import Candidate
from modernet.studies.compare.request import CompareRequest
from modernet.studies.compare.runs import prepare
from modernet.studies.running.jobs import Share
from modernet.studies.running.machines import Resources
from modernet.training import Interrupted

_ROUNDS = 3
_TURN_S = 0.5
_LEAST = 2  # steps of a turn
_EPOCHS = 1000  # more than a turn has
_SILENT = Share("", 0.0, lambda amount, note: None)


def training_speeds(
    candidates: Sequence[Candidate],
    request: CompareRequest,
    n_train: int,
    resources: Resources,
    folder: Path,
    stop: Callable[[], bool],
    hurry: Callable[[], bool] = lambda: False,
) -> tuple[dict[str, float], dict[str, str]]:
    """Measure how many images a second each candidate trains on, in turns, with the threads that a run will have.

    A turn takes the first steps of the training itself, whatever its task, for half a second or more; the first one,
    which builds and compiles, does not count. A candidate's speed is that of its fastest round, since other processes
    can only slow it down.

    Args:
        n_train: training images.
        folder: of the study.
        stop: whether to stop, asked after every step.
        hurry: whether to measure only what has not been measured yet: each candidate once, by a single step.

    Returns:
        Label -> images per second; and label -> why there is none.

    Raises:
        Interrupted: `stop` returned True.
    """
    steps: dict[str, list[float]] = {candidate.label: [] for candidate in candidates}
    failed: dict[str, str] = {}
    per_epoch = math.ceil(n_train / request.recipe.batch_size)
    recipe = request.recipe.lasting(_EPOCHS)
    with threads_of(resources.concurrent_runs), progress.bar("speeds of training", _ROUNDS * len(steps)) as shown:
        for _ in range(_ROUNDS):
            for candidate in candidates:
                if candidate.label in failed or (steps[candidate.label] and hurry()):
                    continue
                shown.advance(0, candidate.label)
                clock = _Clock(stop, resources.device, per_epoch, hurry)
                try:
                    with (
                        surviving(folder / f".{candidate.folder}.attempts"),
                        tempfile.TemporaryDirectory() as scratch,
                        progress.shown(_SILENT),
                    ):
                        prepare(candidate, request, recipe, 0)(
                            folder=Path(scratch), device=resources.device, should_stop=clock
                        )
                except _Enough:
                    steps[candidate.label].append(statistics.median(clock.steps))
                except Interrupted:
                    raise Interrupted("stopped while speeds were measured") from None
                except Exception as error:
                    failed[candidate.label] = (
                        "out of memory in training" if is_out_of_memory(error) else one_line(error, with_type=True)
                    )
                if candidate.label in failed:
                    release(resources.device)
                shown.advance()
    per_step = n_train / per_epoch
    return {label: per_step / min(found) for label, found in steps.items() if label not in failed}, failed


class _Enough(Exception):
    """A turn is over; it ends a training without a checkpoint."""


@dataclass
class _Clock:
    """Is asked after every step, and after the validation of every epoch, whether to stop."""

    stop: Callable[[], bool]
    device: torch.device
    per_epoch: int
    hurry: Callable[[], bool]
    steps: list[float] = field(default_factory=list)
    """Seconds of each, but for the first."""
    _calls: int = 0
    _last: float = 0.0

    def __call__(self) -> bool:
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        now = time.perf_counter()
        validated = self._calls % (self.per_epoch + 1) == self.per_epoch
        if self._calls > 0 and not validated:
            self.steps.append(now - self._last)
        self._calls += 1
        if self.steps and (self.hurry() or (sum(self.steps) >= _TURN_S and len(self.steps) >= _LEAST)):
            raise _Enough
        self._last = time.perf_counter()
        return self.stop()


@contextmanager
def threads_of(at_once: int) -> Iterator[None]:
    """Compute with the threads that each of several concurrent runs will have."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // at_once))
    try:
        yield
    finally:
        torch.set_num_threads(before)
