"""The one training loop.

It knows no network, loss or metric: those are a `Task`. Every random number of a step is a function of the seed and the
step alone, so a run that is stopped at any step goes on from its checkpoint to the same losses as one that was not.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modernet import progress
from modernet.processes import ALONE, Processes
from modernet.recipes import Execution, Recipe
from modernet.training.non_finite import NonFiniteLoss, SkippedStep, check_finite, write_skipped
from modernet.training.placement.placement import Placement
from modernet.training.state.checkpoint import Checkpoint
from modernet.training.steps.optimizer import clip_gradients, make_optimizer
from modernet.training.steps.schedule import learning_rate
from modernet.training.stopping import Interrupted
from modernet.training.task import Task
from modernet.training.watching.curves import Curves
from modernet.training.watching.pace import Pace

_CHECKPOINT_INTERVAL_S = 15.0
_CHECKPOINT_SHARE = 0.05
"""Largest share of the time that may go into writing checkpoints; a larger network is written less often."""
_CURVE_INTERVAL_S = 10.0


@dataclass(frozen=True)
class Trained:
    """What the loop leaves."""

    network: nn.Module
    """The trained network; the average of its weights if the recipe keeps one."""
    history: list[dict[str, float]]
    """One row of metrics an epoch."""
    images_per_second: float | None
    """Training throughput over all processes, evaluation and the first steps left out; None if it is not known."""
    train_seconds: float
    """Time in training steps."""
    energy_joules: float | None
    """What the devices say that they took in that time; None where they do not say."""
    skipped: int
    """Steps that were left out, since their loss was not finite."""


def train(
    task: Task,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    folder: Path,
    identity: Mapping[str, Any],
    checkpoint: Checkpoint | None = None,
    execution: Execution | None = None,
    parts: int = 1,
    processes: Processes = ALONE,
    should_stop: Callable[[], bool] = lambda: False,
    name: str = "training",
    cost: Callable[[Pace, float], str] | None = None,
) -> Trained:
    """Train a task by a recipe.

    The last checkpoints stay in the folder, for whoever calls this to remove once the results are written.

    Args:
        task: network, batches, loss and metric.
        recipe: everything else that matters.
        seed: of the noise in the network (drop path); the task's loader has its own.
        device: where the task's batches are.
        folder: where the first process writes: checkpoints, every 15 seconds or more, when a stop is requested, and at
            the end; the curves `metrics.jsonl`.
        identity: what a checkpoint must share with this run to be its own; see `run_identity`.
        checkpoint: where to go on, as `read_checkpoint` found it.
        execution: how to use the machine; None is as plainly as possible.
        parts: into how many parts the task's loader cuts each batch, over all processes.
        processes: those that train together; each calls this with its own task and device.
        should_stop: asked after every step; by several processes about twice a second.
        name: what to call the work in the display of progress.
        cost: what the first process says of its pace, with a share of the run done, besides images a second.

    Raises:
        Interrupted: `should_stop` said so; the checkpoint holds the step.
        NonFiniteLoss: the loss is not a number any more.
        DiskFull: a checkpoint could not be written.
        InputError: the execution does not go with the network or the recipe, or a tracker is not there.
    """
    run = _Run(task, recipe, seed, device, folder, identity, execution or Execution(), parts, processes, cost)
    if checkpoint is not None:
        run.resume(checkpoint)
    run.open_curves(name)
    total = recipe.schedule.epochs * run.steps_per_epoch
    try:
        with progress.task(name, total) as shown:
            shown.advance(run.step)
            while run.step < total:
                run.train_epoch(shown, should_stop)
        run.checkpoint(due=True)
        pace = run.pace
        return Trained(
            run.placement.result(), run.history, pace.images_per_second, pace.seconds, run.energy_joules(), run.skipped
        )
    finally:
        run.close_curves()


@dataclass
class _StepDone:
    """A step whose means were not read from the device yet."""

    step: int
    parts: list[tuple[int, dict[str, Tensor]]]
    """Samples of each part and its means, on the device."""
    names: list[Callable[[], list[str]]]


class _Run:
    """One run of the loop: the objects that move with it, and its counters."""

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        folder: Path,
        identity: Mapping[str, Any],
        execution: Execution,
        parts: int,
        processes: Processes,
        cost: Callable[[Pace, float], str] | None,
    ) -> None:
        self.task, self.recipe, self.seed, self.folder = task, recipe, seed, folder
        self.execution, self.parts, self.processes, self.cost = execution, parts, processes, cost
        self.identity = dict(identity)
        self.placement = Placement(task.network, recipe, execution, device, processes)
        self.optimizer = make_optimizer(self.placement.network, recipe)
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
        self.steps_per_epoch = task.loader.steps_per_epoch
        self.step, self.skipped = 0, 0
        self.history: list[dict[str, float]] = []
        self.sums: dict[str, tuple[float, float]] = {}  # sum and number of samples of each mean of the epoch
        self.pace = Pace(device)
        self.curves: Curves | None = None
        self._last_checkpoint, self._checkpoint_seconds = time.monotonic(), 0.0
        self._last_curve = time.monotonic()

    # --- one epoch ---------------------------------------------------------------------------------------------------

    def train_epoch(self, shown: progress.Task, should_stop: Callable[[], bool]) -> None:
        """The rest of the epoch that `step` is in, its evaluation, and a checkpoint when one is due."""
        epoch, first_step = divmod(self.step, self.steps_per_epoch)
        self.placement.network.train()
        pending: list[_StepDone] = []
        batches = self.task.loader.batches(epoch, first_step)
        self.pace.start()
        for step in range(first_step, self.steps_per_epoch):
            pending.append(self._train_step(batches, self.task.loader.samples_in_step(step)))
            done = step + 1 == self.steps_per_epoch
            stop = should_stop()
            if len(pending) < self.pace.steps_to_read and not done and not (stop and self.processes.alone):
                continue
            stop, due = self._read(pending, stop)
            shown.advance(len(pending), self._note(epoch))
            pending = []
            if not done:
                self.checkpoint(due)
                self.pace.start()
            if stop and not done:
                raise Interrupted(f"stopped at step {self.step}")

        row = {"epoch": float(epoch + 1), "lr": max(group["lr"] for group in self.optimizer.param_groups)}
        row |= {f"train_{key}": value / count for key, (value, count) in self.sums.items()}
        assert next(batches, None) is None, "an epoch has as many parts as its steps have"
        self.placement.share_buffers()
        with self.placement.autocast():
            row |= self.task.evaluate(self.placement.evaluated())
        check_finite(row, f"after epoch {epoch + 1}")
        if self.skipped:
            row["skipped_steps"] = float(self.skipped)
        speed = self.pace.images_per_second
        self.history.append(row if speed is None else row | {"images_per_second": speed})
        if self.curves is not None:
            self.curves.add(self.step, self.history[-1])
        self.sums = {}
        stop, due = self._agree(should_stop())
        self.checkpoint(due)
        if stop:
            raise Interrupted(f"stopped after epoch {epoch + 1}")

    def _train_step(self, batches: Iterator[Any], samples: int) -> _StepDone:
        """One step of the optimiser over the parts of a batch of so many samples."""
        rate = learning_rate(self.recipe, self.step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        done = _StepDone(self.step, [], [])
        count, world = self.task.loader.parts_per_step, self.processes.world
        before = self.placement.buffers() if self.execution.non_finite == "skip" else []
        for index in range(count):
            batch = next(batches)
            torch.manual_seed(_part_seed(self.seed, self.step, self.processes.rank + index * world))
            with self.placement.adding_gradients(last=index + 1 == count):
                loss, means = self.task.loss(self.placement, batch)
                # the processes' gradients are averaged, the parts' are added
                share = self.task.samples(batch) * world / samples
                self.scaler.scale(loss if share == 1 else loss * share).backward()  # type: ignore[no-untyped-call]
            done.parts.append((self.task.samples(batch), _detached({"loss": loss, **means})))
            done.names.append(self.task.names(batch))
        self._update(done, before)
        self.step += 1
        return done

    def _update(self, done: _StepDone, before: list[Tensor]) -> None:
        """Take the step, or leave it out and go back to the buffers from before it."""
        self.scaler.unscale_(self.optimizer)
        if self.execution.non_finite == "skip" and self._is_lost(done):
            self.placement.restore_buffers(before)
            self.scaler.update()
        else:
            clip_gradients(self.placement.network.parameters(), self.recipe)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.placement.update_average()
        self.optimizer.zero_grad(set_to_none=True)

    def _is_lost(self, done: _StepDone) -> bool:
        """Whether a step must be left out; waits for the device. Its images are written down and not counted."""
        finite = all(bool(means["loss"].isfinite()) for _, means in done.parts)
        found = self.processes.gather(None if finite else _names(done))
        names = [name for part in found if part is not None for name in part]
        if not names:
            return False
        self.skipped += 1
        if self.processes.main:
            write_skipped(self.folder, SkippedStep(done.step, names))
        done.parts.clear()
        return True

    # --- reading what happened ---------------------------------------------------------------------------------------

    def _read(self, pending: list[_StepDone], stop: bool) -> tuple[bool, bool]:
        """Bring the means of some steps from the device, check them, and add them up over all processes.

        Returns:
            Whether to stop, and whether a checkpoint is due.
        """
        sums: dict[str, tuple[float, float]] = {}
        lost: SkippedStep | None = None
        for done in pending:
            for samples, means in done.parts:
                values = {key: float(value) for key, value in means.items()}
                if lost is None and not math.isfinite(values["loss"]):
                    lost = SkippedStep(done.step, _names(done))
                _add(sums, {key: (value * samples, float(samples)) for key, value in values.items()})
        gathered = self.processes.gather((sums, lost))
        self.pace.stop(len(pending), sum(theirs["loss"][1] for theirs, _ in gathered if "loss" in theirs))
        for theirs, _ in gathered:
            _add(self.sums, theirs)
        self._stop_if_lost([found for _, found in gathered if found is not None])
        if self.curves is not None and time.monotonic() - self._last_curve > _CURVE_INTERVAL_S and "loss" in sums:
            total, count = sums["loss"]
            self.curves.add(self.step, {"loss": total / count, "lr": self.optimizer.param_groups[0]["lr"]})
            self._last_curve = time.monotonic()
        return self._agree(stop)

    def _stop_if_lost(self, lost: list[SkippedStep]) -> None:
        if not lost:
            return
        step = min(found.step for found in lost)
        names = [name for found in lost if found.step == step for name in found.images]
        if self.processes.main:
            write_skipped(self.folder, SkippedStep(step, names))
        raise NonFiniteLoss.at_step(step, self.folder)

    def _agree(self, stop: bool) -> tuple[bool, bool]:
        """Whether any process was asked to stop, and whether a checkpoint is due; the first one's clock counts."""
        interval_s = max(_CHECKPOINT_INTERVAL_S, self._checkpoint_seconds / _CHECKPOINT_SHARE)
        due = time.monotonic() - self._last_checkpoint >= interval_s
        votes = self.processes.gather((stop, due, self.pace.steps_to_read))
        self.pace.steps_to_read = votes[0][2]
        stop = any(vote[0] for vote in votes)
        return stop, stop or votes[0][1]

    def _note(self, epoch: int) -> str:
        means = {key: value / count for key, (value, count) in self.sums.items()}
        words = [f"epoch {epoch + 1}/{self.recipe.schedule.epochs}"]
        if "loss" in means:
            words.append(f"loss {means['loss']:.3f}")
        if "top1" in means:
            words.append(f"top-1 {means['top1']:.1f} %")
        speed = self.pace.images_per_second
        if speed is not None:
            share = self.step / (self.recipe.schedule.epochs * self.steps_per_epoch)
            words.append(f"{speed:.0f} images/s{'' if self.cost is None else self.cost(self.pace, share)}")
        if self.skipped:
            words.append(f"{self.skipped} steps skipped")
        return "  ".join(words)

    def energy_joules(self) -> float | None:
        """What the devices of all processes took; None where one does not tell."""
        energies = self.processes.gather(self.pace.energy_joules)
        return sum(energy for energy in energies if energy is not None) if None not in energies else None

    # --- what is written ---------------------------------------------------------------------------------------------

    def open_curves(self, name: str) -> None:
        if self.processes.main:
            self.curves = Curves(self.folder, self.execution.tracker, name, self.identity, self.step)

    def close_curves(self) -> None:
        if self.curves is not None:
            self.curves.close()

    def checkpoint(self, due: bool) -> None:
        """Write where the run is now, if that is due."""
        if not due:
            return
        begin = time.monotonic()
        check_finite({"norm of the weights": self.placement.weight_norm()}, f"at step {self.step}")
        state = {**self.placement.state(self.optimizer), "scaler": self.scaler.state_dict()}
        failure: Exception | None = None
        if self.processes.main:
            try:
                Checkpoint(
                    self.identity,
                    self.parts,
                    self.step,
                    self.skipped,
                    self.sums,
                    self.history,
                    self.pace.counters(),
                    state,
                ).write(self.folder)
            except Exception as error:
                failure = error
        for failed in self.processes.gather(failure):  # or the others would wait for the first one
            if failed is not None:
                raise failed
        self._last_checkpoint = time.monotonic()
        self._checkpoint_seconds = self._last_checkpoint - begin

    def resume(self, found: Checkpoint) -> None:
        """Go to where a checkpoint is."""
        self.placement.load_state(found.state, self.optimizer)
        self.scaler.load_state_dict(found.state["scaler"])
        self.step, self.skipped = found.step, found.skipped
        self.sums, self.history = found.sums, found.history
        self.pace.go_on_from(found.clock)


def _detached(means: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach() for key, value in means.items()}


def _names(done: _StepDone) -> list[str]:
    return [name for names in done.names for name in names()]


def _add(sums: dict[str, tuple[float, float]], more: Mapping[str, tuple[float, float]]) -> None:
    for key, (value, count) in more.items():
        total, samples = sums.get(key, (0.0, 0.0))
        sums[key] = total + value, samples + count


def _part_seed(seed: int, step: int, part: int) -> int:
    """A seed for a part of a step, unrelated to those of its neighbours."""
    place = f"{seed}/{step}" if part == 0 else f"{seed}/{step}/{part}"
    digest = hashlib.blake2b(place.encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")
