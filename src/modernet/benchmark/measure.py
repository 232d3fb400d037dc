"""Cases measured side by side: prepared, counted, and timed in turns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch

from modernet import progress
from modernet.benchmark.batch import fastest_batch
from modernet.benchmark.case import Case
from modernet.benchmark.targets import Target
from modernet.benchmark.workload import Workload, prepare
from modernet.counting.macs import count_macs, on_meta
from modernet.counting.traffic import Work, count_work
from modernet.detection.fixed_work import FixedWork
from modernet.detection.network import RCNN
from modernet.errors import one_line
from modernet.machine.memory import available_bytes, is_out_of_memory, memory_limit, release, transient_bytes
from modernet.machine.settings import gpu_settings
from modernet.machine.timing import rounds_in_turns
from modernet.torch_internals import with_recompile_limit

_WARM_UP = 3


@dataclass
class Outcome:
    """The measurements of a case.

    Attributes:
        case: with the fastest batch size, if that was to be found.
        seconds: seconds of one step, one number per round.
        error: why the case could not be measured, in one line.
        params, macs, work: counts; None for a network that does not run on the meta device, or not in torch.
        peak_bytes: peak memory of the case alone: weights, one batch, and what a step allocates.
        report: the choices of `modernet.deploy.optimize`.
    """

    case: Case
    seconds: list[float] = field(default_factory=list)
    error: str | None = None
    params: int | None = None
    macs: int | None = None
    work: Work | None = None
    peak_bytes: int | None = None
    report: str | None = None


def measure(
    cases: Sequence[Case],
    targets: Mapping[str, Target],
    device: torch.device,
    *,
    rounds: int,
    turn_s: float,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Measure cases in turns, inside `measuring`. A case that fails has an error, and the others continue.

    After Ctrl-C, the finished rounds are returned.

    Args:
        cases: their networks are in memory together.
        targets: model name -> network.
        rounds: turns of every case.
        turn_s: length of a turn in seconds.
        should_stop: called before each case is prepared and after each round; True ends it, with the finished rounds.

    Raises:
        KeyboardInterrupt: before the end of the first round.
    """
    contenders = [_Contender(case, targets[case.model], device) for case in cases]
    for contender in progress.track(contenders, "preparing", len(contenders)):
        if should_stop():
            return [contender.outcome for contender in contenders]
        contender.prepare()
    ready = {f"{index + 1}: {c.outcome.case.label}": c for index, c in enumerate(contenders) if c.workload}
    finished: list[dict[str, float]] = []
    try:
        turns = rounds_in_turns(ready, device, rounds=rounds, turn_s=turn_s, warm_up=_WARM_UP, name="taking turns")
        for seconds in turns:
            finished.append(seconds)
            if should_stop():
                break
    except KeyboardInterrupt:
        if not finished:
            raise
    for name, contender in ready.items():
        if contender.workload is not None:
            contender.outcome.seconds = [seconds[name] for seconds in finished]
    return [contender.outcome for contender in contenders]


@contextmanager
def measuring(cases: Sequence[Case], device: torch.device) -> Iterator[None]:
    """Inside, the process is set up to measure these cases; its settings are restored afterwards."""
    threads = torch.get_num_threads()
    with memory_limit(device), gpu_settings(device), _recompiling(cases):
        torch.set_num_threads(max(case.threads for case in cases))
        try:
            yield
        finally:
            torch.set_num_threads(threads)


class _Contender:
    """A case that takes its turn when called; after its first failure it does nothing."""

    def __init__(self, case: Case, target: Target, device: torch.device) -> None:
        self.outcome = Outcome(case)
        self.workload: Workload | None = None
        self._target = target
        self._device = device
        self._available: int | None = None

    def prepare(self) -> None:
        """Find the batch size, build the network, run it, count it."""
        self._available = available_bytes(self._device)
        with self._failing():
            case = self.outcome.case
            if case.batch is None:
                case = replace(case, batch=fastest_batch(case, self._target, self._device))
                self.outcome.case = case
            self.workload = prepare(case, self._target, self._device)
            self.outcome.report = self.workload.report
            for _ in range(_WARM_UP):
                self.workload.step()
            if next(self.workload.network.parameters(), None) is None:
                return  # the network is in another runtime, which cannot be counted
            transient = transient_bytes(self.workload.step, self._device)
            if transient is not None:
                self.outcome.peak_bytes = self.workload.held_bytes + transient
            self._count(case, self.workload)

    def __call__(self) -> None:
        if self.workload is not None:
            with self._failing():
                self.workload.step()

    def _count(self, case: Case, workload: Workload) -> None:
        assert case.batch is not None
        self.outcome.params = sum(p.numel() for p in workload.network.parameters())
        with contextlib.suppress(Exception):  # any network may be given; it may need values, or a certain device
            network = on_meta(workload.network).float()  # as before the cast
            network = FixedWork(network) if isinstance(network, RCNN) else network
            draw, meta = self._target.inputs.draw, torch.device("meta")
            one = draw(1, case.size, torch.float32, torch.contiguous_format, meta)
            self.outcome.macs = count_macs(network, one)
            self.outcome.work = count_work(
                network,
                draw(case.batch, case.size, case.tensor_dtype, case.memory_format, meta),
                training=case.mode == "train",
                dtype=case.tensor_dtype,
                memory_format=case.memory_format,
            )

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn an exception into the error of the case."""
        try:
            yield
        except Exception as error:
            self.workload = None
            self.outcome.error = _in_one_line(error, self.outcome.case, self._target, self._available)
        if self.outcome.error is not None:
            release(self._device)


@contextmanager
def _recompiling(cases: Sequence[Case]) -> Iterator[None]:
    """Let every case be compiled: torch stops after eight networks of one class."""
    if all(case.compile == "off" for case in cases):
        yield
        return
    with with_recompile_limit(1000):
        yield


def _in_one_line(error: Exception, case: Case, target: Target, available: int | None) -> str:
    if is_out_of_memory(error):
        batch = f"one {target.inputs.one}" if case.batch is None else f"a batch of {case.batch}"
        room = "the memory" if available is None else f"the {available / 1e9:.1f} GB that were free"
        return f"out of memory: {batch} did not fit into {room}; give a smaller --batch, or --batch auto"
    return one_line(error, with_type=True)
