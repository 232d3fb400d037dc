"""The training loop.

It knows no network, loss or metric: those are a `Task`. Every random number of a step is a function of the seed and the
step alone, so a run that is stopped anywhere resumes to the same losses as one that was not.
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
from modernet.recipes import Recipe
from modernet.training.context import Intervals, RunContext
from modernet.training.non_finite import NonFiniteLoss, SkippedStep, check_finite, write_skipped
from modernet.training.placement.placement import Placement
from modernet.training.state.checkpoint import Checkpoint
from modernet.training.steps.optimizer import clip_gradients, make_optimizer
from modernet.training.steps.schedule import learning_rate
from modernet.training.stopping import Interrupted
from modernet.training.task import HeldOut, Task
from modernet.training.watching.curves import Curves
from modernet.training.watching.pace import Pace


@dataclass(frozen=True)
class Trained:
    """The result of the loop."""

    network: nn.Module
    """The trained network; the EMA of its weights if the recipe keeps one."""
    history: list[dict[str, float]]
    """One row of metrics per epoch."""
    samples_per_second: float | None
    """Training throughput over all processes, without evaluation and the first steps; None if too short to measure."""
    train_seconds: float
    """Time spent in training steps."""
    energy_joules: float | None
    """Energy the devices report over `train_seconds`; None where they do not report it."""
    skipped: int
    """Steps skipped because their loss was not finite."""


def train(
    task: Task,
    recipe: Recipe,
    context: RunContext,
    *,
    seed: int,
    folder: Path,
    identity: Mapping[str, Any],
    checkpoint: Checkpoint | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    name: str = "training",
    cost: Callable[[Pace, float], str] | None = None,
    intervals: Intervals = Intervals(),  # noqa: B008 - frozen
) -> Trained:
    """Train a task by a recipe.

    The last checkpoints stay in the folder; the caller removes them once the results are written. A run that ends soon
    after a checkpoint, or before its first one, writes none at its end: training again takes as long.

    Args:
        context: where to train; every process calls this with its own.
        seed: of the noise in the network (drop path); the task's batches have their own.
        folder: where the first process writes checkpoints, at intervals and when a stop is requested, and the curves,
            `metrics.jsonl`.
        identity: what a checkpoint must share with this run; see `run_identity`.
        checkpoint: where to resume, as `read_checkpoint` returned it.
        should_stop: called after every step, or about twice a second with several processes.
        name: title of the progress display.
        cost: what the first process shows of its pace, given the share of the run that is done.

    Raises:
        Interrupted: `should_stop` returned True; a checkpoint holds the step.
        NonFiniteLoss: the loss is NaN or infinite.
        DiskFull: a checkpoint could not be written.
        InputError: the execution does not suit the network or the recipe, or a tracker is not installed.
    """
    run = _Run(task, recipe, context, seed, folder, dict(identity), cost, intervals)
    if checkpoint is not None:
        run.resume(checkpoint)
    run.open_curves(name)
    try:
        with progress.bar(name, run.total_steps) as shown:
            shown.advance(run.step)
            while run.step < run.total_steps:
                run.train_epoch(shown, should_stop)
        pace = run.pace
        return Trained(
            run.placement.result(), run.history, pace.samples_per_second, pace.seconds, run.energy_joules(), run.skipped
        )
    finally:
        run.close_curves()


@dataclass
class _Step:
    """A step whose results have not been read from the device yet."""

    index: int
    samples: int
    keys: list[tuple[str, ...]]
    """Names of the means of each micro-batch, `loss` first."""
    values: list[Tensor]
    """For each micro-batch, its weight and then its means, on the device."""
    names: list[Callable[[], list[str]]]


class _Run:
    """One run of the loop: the objects that change with it, and its counters."""

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        context: RunContext,
        seed: int,
        folder: Path,
        identity: dict[str, Any],
        cost: Callable[[Pace, float], str] | None,
        intervals: Intervals,
    ) -> None:
        self.task, self.recipe, self.context, self.seed = task, recipe, context, seed
        self.folder, self.identity, self.cost, self.intervals = folder, identity, cost, intervals
        self.processes, self.execution = context.processes, context.execution
        self.placement = Placement(task.network, recipe, self.execution, context.device, self.processes)
        self.optimizer = make_optimizer(self.placement.network, recipe)
        self.scaler = torch.amp.GradScaler(context.device.type, enabled=recipe.precision == "fp16")
        self.steps_per_epoch = task.batches.steps_per_epoch
        self.total_steps = recipe.schedule.epochs * self.steps_per_epoch
        self.step, self.skipped = 0, 0
        self.history: list[dict[str, float]] = []
        self.sums: dict[str, tuple[float, float]] = {}  # weighted sum and weight of each mean, over the epoch so far
        self.pace = Pace(context.device, intervals.read_s)
        self.curves: Curves | None = None
        self._exact = torch.float32 if context.device.type == "mps" else torch.float64
        self._last_checkpoint, self._checkpoint_seconds = time.monotonic(), 0.0
        self._last_curve = time.monotonic()

    # --- one epoch ---------------------------------------------------------------------------------------------------

    def train_epoch(self, shown: progress.Bar, should_stop: Callable[[], bool]) -> None:
        """Train the rest of the current epoch, evaluate, and write a checkpoint when one is due."""
        epoch, first_step = divmod(self.step, self.steps_per_epoch)
        self.placement.network.train()
        pending: list[_Step] = []
        batches = self.task.batches.batches(epoch, first_step)
        self.pace.start()
        for step in range(first_step, self.steps_per_epoch):
            pending.append(self._train_step(batches))
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

        assert next(batches, None) is None, "an epoch has as many micro-batches as its steps have"
        self._finish_epoch(epoch)
        stop, due = self._agree(should_stop())
        self.checkpoint(due)
        if stop:
            raise Interrupted(f"stopped after epoch {epoch + 1}")

    def _train_step(self, batches: Iterator[Any]) -> _Step:
        """Take one optimizer step over the micro-batches of a batch."""
        rate = learning_rate(self.recipe, self.step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        micro_batches = [next(batches) for _ in range(self.task.batches.micro_batches_per_step)]
        step = _Step(self.step, 0, [], [], [])
        before = self.placement.buffers() if self.execution.non_finite == "skip" else []
        weights = [self._weight(batch) for batch in micro_batches]
        shares = self._shares(weights)
        for index, (batch, weight, share) in enumerate(zip(micro_batches, weights, shares, strict=True)):
            micro_batch = self.processes.rank + index * self.processes.world
            _seed_all(self.context.device, _seed_of(self.seed, self.step, micro_batch))
            with self.placement.adding_gradients(last=index + 1 == len(micro_batches)):
                loss, means = self.task.loss(self.placement, batch)
                self.scaler.scale(loss * share.to(loss.dtype)).backward()  # type: ignore[no-untyped-call]
            values = [weight, loss, *means.values()]
            step.samples += self.task.samples(batch)
            step.keys.append(("loss", *means))
            step.values.append(torch.stack([value.detach().to(self._exact) for value in values]))
            step.names.append(self.task.names(batch))
        self._update(step, before)
        self.step += 1
        return step

    def _weight(self, batch: Any) -> Tensor:
        return torch.as_tensor(self.task.weight(batch), dtype=self._exact, device=self.context.device)

    def _shares(self, weights: list[Tensor]) -> list[Tensor]:
        """Return each micro-batch's share of the step's weight over all processes, times their number.

        Gradients are averaged over processes and added over micro-batches. A step without any weight has no gradient.
        """
        total = self.processes.sum(torch.stack(weights).sum())
        return [(weight * self.processes.world / total).nan_to_num(0.0) for weight in weights]

    def _update(self, step: _Step, before: list[Tensor]) -> None:
        """Update the weights; or skip the step and restore the buffers from before it."""
        self.scaler.unscale_(self.optimizer)
        if self.execution.non_finite == "skip" and self._is_lost(step):
            self.placement.restore_buffers(before)
            self.scaler.update()
        else:
            clip_gradients(self.placement.network.parameters(), self.recipe)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.placement.update_average()
        self.optimizer.zero_grad(set_to_none=True)

    def _is_lost(self, step: _Step) -> bool:
        """Whether a step must be skipped; waits for the device. Its examples are listed and not counted."""
        finite = bool(torch.stack([values[1] for values in step.values]).isfinite().all())
        gathered = self.processes.gather(None if finite else _names(step))
        names = [name for of_process in gathered if of_process is not None for name in of_process]
        if not names:
            return False
        self.skipped += 1
        if self.processes.main:
            write_skipped(self.folder, SkippedStep(step.index, names))
        step.samples = 0
        step.keys.clear()
        step.values.clear()
        return True

    def _finish_epoch(self, epoch: int) -> None:
        """Add the row of an epoch to the history, with its evaluation."""
        row = {"epoch": float(epoch + 1), "lr": max(group["lr"] for group in self.optimizer.param_groups)}
        row |= {f"train_{key}": value for key, value in _means(self.sums).items()}
        left = self.recipe.schedule.epochs - epoch - 1
        splits: list[HeldOut] = []
        if (epoch + 1) % self.task.evaluate_every == 0 or left == 0:
            splits.append("validation")
        if 0 < left < self.task.tested_epochs:  # the last one is tested when training is done
            splits.append("test")
        if splits:
            self.placement.share_buffers()
        for split in splits:
            measured = self.task.evaluate(self.placement.evaluated(), split)
            row |= {f"{split}_{key}": value for key, value in measured.items()}
        check_finite(row, f"after epoch {epoch + 1}")
        if self.skipped:
            row["skipped_steps"] = float(self.skipped)
        speed = self.pace.samples_per_second
        self.history.append(row if speed is None else row | {f"{self.task.unit}_per_second": speed})
        if self.curves is not None:
            self.curves.add(self.step, self.history[-1])
        self.sums = {}

    # --- reading results ---------------------------------------------------------------------------------------------

    def _read(self, pending: list[_Step], stop: bool) -> tuple[bool, bool]:
        """Read the means of some steps from the device, check them, and sum them over all processes.

        Returns:
            Whether to stop, and whether a checkpoint is due.
        """
        sums: dict[str, tuple[float, float]] = {}
        lost: SkippedStep | None = None
        stacked = [values for step in pending for values in step.values]
        flat = iter(torch.cat(stacked).tolist() if stacked else [])  # one transfer for all
        for step in pending:
            for keys in step.keys:
                weight = next(flat)
                values = {key: next(flat) for key in keys}
                if lost is None and not math.isfinite(values["loss"]):
                    lost = SkippedStep(step.index, _names(step))
                _add(sums, {key: (value * weight, weight) for key, value in values.items()})
        gathered = self.processes.gather((sums, lost, sum(step.samples for step in pending)))
        self.pace.stop(len(pending), sum(samples for _, _, samples in gathered))
        for of_process, _, _ in gathered:
            _add(self.sums, of_process)
        self._stop_if_lost([found for _, found, _ in gathered if found is not None])
        curve_due = time.monotonic() - self._last_curve > self.intervals.curve_s
        means = _means(sums)
        if self.curves is not None and curve_due and "loss" in means:
            self.curves.add(self.step, {"loss": means["loss"], "lr": self.optimizer.param_groups[0]["lr"]})
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
        """Agree on two questions: was any process asked to stop, and is a checkpoint due by the first one's clock?

        All processes read at the same steps, so this also makes the first one's `steps_to_read` everybody's.
        """
        interval_s = max(self.intervals.checkpoint_s, self._checkpoint_seconds / self.intervals.checkpoint_share)
        due = time.monotonic() - self._last_checkpoint >= interval_s
        votes = self.processes.gather((stop, due, self.pace.steps_to_read))
        self.pace.steps_to_read = votes[0][2]
        stop = any(vote[0] for vote in votes)
        return stop, stop or votes[0][1]

    def _note(self, epoch: int) -> str:
        """Return the end of the progress line: epoch, loss, the primary metric, throughput."""
        means = _means(self.sums)
        notes = [f"epoch {epoch + 1}/{self.recipe.schedule.epochs}"]
        if "loss" in means:
            notes.append(f"loss {means['loss']:.3f}")
        metric = self.task.metrics[0]
        if metric.name in means:
            notes.append(f"{metric.title} {means[metric.name]:.{metric.digits_for(None)}f} {metric.unit}".rstrip())
        speed = self.pace.samples_per_second
        if speed is not None:
            cost = "" if self.cost is None else self.cost(self.pace, self.step / self.total_steps)
            notes.append(f"{speed:.0f} {self.task.unit}/s{cost}")
        if self.skipped:
            notes.append(f"{self.skipped} steps skipped")
        return "  ".join(notes)

    def energy_joules(self) -> float | None:
        """Return the energy of the devices of all processes; None if one does not report it."""
        energies = self.processes.gather(self.pace.energy_joules)
        return sum(energy for energy in energies if energy is not None) if None not in energies else None

    # --- curves and checkpoints --------------------------------------------------------------------------------------

    def open_curves(self, name: str) -> None:
        if self.processes.main:
            self.curves = Curves(self.folder, self.execution.tracker, name, self.identity, self.step)

    def close_curves(self) -> None:
        if self.curves is not None:
            self.curves.close()

    def checkpoint(self, due: bool) -> None:
        """Write a checkpoint of the current step, if one is due."""
        if not due:
            return
        begin = time.monotonic()
        check_finite({"norm of the weights": self.placement.weight_norm()}, f"at step {self.step}")
        state = {
            **self.placement.state(self.optimizer),
            "scaler": self.scaler.state_dict(),
            "task": self.task.state(),
        }
        failure: Exception | None = None
        if self.processes.main:
            try:
                Checkpoint(
                    self.identity,
                    self.context.micro_batches,
                    self.step,
                    self.skipped,
                    self.sums,
                    self.history,
                    self.pace.counters(),
                    state,
                ).write(self.folder)
            except Exception as error:
                failure = error
        for failed in self.processes.gather(failure):  # or the other processes would wait for the first one
            if failed is not None:
                raise failed
        self._last_checkpoint = time.monotonic()
        self._checkpoint_seconds = self._last_checkpoint - begin

    def resume(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a checkpoint."""
        self.placement.load_state(checkpoint.state, self.optimizer)
        self.scaler.load_state_dict(checkpoint.state["scaler"])
        self.task.load_state(checkpoint.state["task"])
        self.step, self.skipped = checkpoint.step, checkpoint.skipped
        self.sums, self.history = checkpoint.sums, checkpoint.history
        self.pace.resume(checkpoint.clock)


def _seed_all(device: torch.device, seed: int) -> None:
    """Seed CPU and device. On a CPU, `torch.manual_seed` asks every device: 2 % of a small network's step."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _names(step: _Step) -> list[str]:
    return [name for names in step.names for name in names()]


def _add(sums: dict[str, tuple[float, float]], more: Mapping[str, tuple[float, float]]) -> None:
    for key, (value, weight) in more.items():
        total, so_far = sums.get(key, (0.0, 0.0))
        sums[key] = total + value, so_far + weight


def _means(sums: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    return {key: value / weight for key, (value, weight) in sums.items() if weight}


def _seed_of(seed: int, step: int, micro_batch: int) -> int:
    """Return a seed for a micro-batch of a step, unrelated to those of its neighbours."""
    key = f"{seed}/{step}" if micro_batch == 0 else f"{seed}/{step}/{micro_batch}"
    digest = hashlib.blake2b(key.encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")
