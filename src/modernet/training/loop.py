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
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from modernet import progress
from modernet.errors import InputError, RunStopped
from modernet.recipes import Recipe
from modernet.training.checkpoint import Checkpoint, read_checkpoint
from modernet.training.interruption import Interrupted
from modernet.training.param_groups import parameter_groups
from modernet.training.schedule import learning_rate

_WARMUP_STEPS = 3
"""Steps at the start of a process that the throughput leaves out: caches fill and kernels are chosen in them."""
_CHECKPOINT_INTERVAL_S = 15.0
_CHECKPOINT_SHARE = 0.05
"""Largest share of the time that may go into writing checkpoints; a larger network is written less often."""
_NOTE_INTERVAL_S = 0.5


class Batches(Protocol):
    """Batches of an epoch; from any step on, the same ones as in an epoch that began at step 0."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch from a step on."""


class Task(Protocol):
    """What is trained."""

    @property
    def network(self) -> nn.Module:
        """What is trained; moved to the device by the loop."""

    @property
    def loader(self) -> Batches:
        """The training batches, on the device."""

    def loss(self, network: Callable[..., Any], batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss to minimise, and other means over the batch to report (`top1` in per cent)."""

    def samples(self, batch: Any) -> int:
        """Pictures in a batch."""

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Metrics on the validation split, after every epoch."""


@dataclass(frozen=True)
class Trained:
    """What the loop leaves."""

    network: nn.Module
    """The trained network; the average of its weights if the recipe keeps one."""
    history: list[dict[str, float]]
    """One row of metrics an epoch."""
    images_per_second: float | None
    """Training throughput, evaluation and the first steps left out; None for a run that is too short to tell."""
    train_seconds: float
    """Time in training steps."""


class NonFiniteLoss(RunStopped):
    """The loss or a weight became NaN or infinite. The last checkpoint, from before, is still there."""


def choose_device() -> torch.device:
    """The accelerator of this machine if it has one (CUDA, MPS, XPU), else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def train(
    task: Task,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    folder: Path,
    identity: Mapping[str, Any],
    should_stop: Callable[[], bool] = lambda: False,
    name: str = "training",
) -> Trained:
    """Train a task by a recipe; go on from the checkpoint in `folder` if there is one.

    The last checkpoint stays in the folder, for whoever calls this to remove once the results are written.

    Args:
        task: network, batches, loss and metric.
        recipe: everything else that matters.
        seed: of the noise in the network (drop path); the task's loader has its own.
        device: where the task's batches are.
        folder: where checkpoints go: every 15 seconds or more, when a stop is requested, and at the end.
        identity: what a checkpoint must share with this run to be its own; see `run_identity`.
        should_stop: asked after every step.
        name: what to call the work in the display of progress.

    Raises:
        Interrupted: `should_stop` said so; the checkpoint holds the step.
        NonFiniteLoss: the loss is not a number any more.
        InputError: the folder's checkpoint belongs to another run, or is damaged; or there are several processes.
    """
    run = _Run(task, recipe, seed, device, folder, identity)
    run.resume()
    total = recipe.schedule.epochs * run.steps_per_epoch
    with progress.task(name, total) as shown:
        shown.advance(run.step)
        while run.step < total:
            run.train_epoch(shown, should_stop)
    run.checkpoint(due=True)
    return Trained(run.result(), run.history, run.images_per_second(), run.clock["train_seconds"])


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
    ) -> None:
        self.task, self.recipe, self.seed, self.folder = task, recipe, seed, folder
        self.identity = dict(identity)
        # accelerate keeps one precision a process; runs of a study may differ in it
        AcceleratorState._reset_state()
        precision = "no" if recipe.precision == "fp32" else recipe.precision
        self.accelerator = Accelerator(mixed_precision=precision, cpu=device.type == "cpu")
        if self.accelerator.num_processes > 1:
            raise InputError("training runs in one process for now; start it without torchrun")
        self.raw = task.network.to(device).to(memory_format=torch.channels_last)
        self.average: AveragedModel | None = None
        if recipe.ema_decay is not None:  # copied before accelerate wraps the forward of what it prepares
            ema = get_ema_multi_avg_fn(recipe.ema_decay)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.raw, multi_avg_fn=ema, use_buffers=True)
        self.optimizer = self.accelerator.prepare(_make_optimizer(self.raw, recipe))
        self.network = self.accelerator.prepare(self.raw)

        self.steps_per_epoch = task.loader.steps_per_epoch
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.sums: dict[str, list[float]] = {}  # sum and number of samples of each mean of the epoch
        self.clock = {"train_seconds": 0.0, "timed_seconds": 0.0, "timed_samples": 0.0}
        self._steps_here = 0
        self._last_checkpoint, self._checkpoint_seconds = time.monotonic(), 0.0

    # --- one epoch ---------------------------------------------------------------------------------------------------

    def train_epoch(self, shown: progress.Task, should_stop: Callable[[], bool]) -> None:
        """The rest of the epoch that `step` is in, its evaluation, and a checkpoint when one is due."""
        epoch, first_step = divmod(self.step, self.steps_per_epoch)
        self.network.train()
        pending: list[tuple[int, dict[str, Tensor]]] = []  # steps whose means were not read from the device yet
        last_read = time.monotonic()
        for batch in self.task.loader.batches(epoch, first_step):
            pending.append(self._train_step(batch))
            done = self.step == (epoch + 1) * self.steps_per_epoch
            stop = should_stop()
            now = time.monotonic()
            if now - last_read < _NOTE_INTERVAL_S and not done and not stop:
                continue
            self._read(pending, time.monotonic() - last_read)
            last_read = time.monotonic()
            shown.advance(len(pending), self._note(epoch))
            pending = []
            if not done:
                self.checkpoint(due=stop)
                last_read = time.monotonic()
            if stop and not done:
                raise Interrupted(f"stopped at step {self.step}")

        row = {"epoch": float(epoch + 1), "lr": self.optimizer.param_groups[0]["lr"]}
        row |= {f"train_{key}": value / count for key, (value, count) in self.sums.items()}
        with self.accelerator.autocast():
            row |= self.task.evaluate(self.network if self.average is None else self.average.module)
        check_finite(row, f"after epoch {epoch + 1}")
        speed = self.images_per_second()
        self.history.append(row if speed is None else row | {"images_per_second": speed})
        self.sums = {}
        stop = should_stop()
        self.checkpoint(due=stop)
        if stop:
            raise Interrupted(f"stopped after epoch {epoch + 1}")

    def _train_step(self, batch: Any) -> tuple[int, dict[str, Tensor]]:
        """One step of the optimiser; returns the samples in the batch and its means, still on the device."""
        torch.manual_seed(_step_seed(self.seed, self.step))
        rate = learning_rate(self.recipe, self.step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        loss, means = self.task.loss(self.network, batch)
        self.accelerator.backward(loss)
        clip = self.recipe.optimizer.clip_grad
        if clip is not None:
            self.accelerator.clip_grad_norm_(self.network.parameters(), clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.raw)
        self.step += 1
        return self.task.samples(batch), {key: value.detach() for key, value in {"loss": loss, **means}.items()}

    def _read(self, pending: list[tuple[int, dict[str, Tensor]]], seconds: float) -> None:
        """Bring the means of some steps from the device, check them, and add them up."""
        for samples, means in pending:
            for key, value in means.items():
                total = self.sums.setdefault(key, [0.0, 0.0])
                total[0] += float(value) * samples
                total[1] += samples
        check_finite({"loss": self.sums["loss"][0]}, f"near step {self.step}")
        self.clock["train_seconds"] += seconds
        if self._steps_here >= _WARMUP_STEPS:
            self.clock["timed_seconds"] += seconds
            self.clock["timed_samples"] += sum(samples for samples, _ in pending)
        self._steps_here += len(pending)

    def _note(self, epoch: int) -> str:
        means = {key: value / count for key, (value, count) in self.sums.items()}
        words = [f"epoch {epoch + 1}/{self.recipe.schedule.epochs}", f"loss {means['loss']:.3f}"]
        if "top1" in means:
            words.append(f"top-1 {means['top1']:.1f} %")
        speed = self.images_per_second()
        if speed is not None:
            words.append(f"{speed:.0f} images/s")
        return "  ".join(words)

    # --- what comes out ----------------------------------------------------------------------------------------------

    def images_per_second(self) -> float | None:
        """Training throughput so far; None before it is known."""
        seconds = self.clock["timed_seconds"]
        return self.clock["timed_samples"] / seconds if seconds > 0 else None

    def result(self) -> nn.Module:
        """The network to keep."""
        network: nn.Module = self.accelerator.unwrap_model(self.network, keep_fp32_wrapper=False)
        return network if self.average is None else self.average.module

    # --- checkpoints -------------------------------------------------------------------------------------------------

    def checkpoint(self, due: bool) -> None:
        """Write where the run is now, if it is `due` or enough time went by since the last one."""
        now = time.monotonic()
        interval_s = max(_CHECKPOINT_INTERVAL_S, self._checkpoint_seconds / _CHECKPOINT_SHARE)
        if not due and now - self._last_checkpoint < interval_s:
            return
        norm = float(torch.nn.utils.get_total_norm([weight.detach() for weight in self.raw.parameters()]))
        check_finite({"norm of the weights": norm}, f"at step {self.step}")
        scaler = self.accelerator.scaler
        state = {
            "network": self.raw.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
        }
        Checkpoint(self.identity, self.step, self.sums, self.history, self.clock, state).write(self.folder)
        self._last_checkpoint = time.monotonic()
        self._checkpoint_seconds = self._last_checkpoint - now

    def resume(self) -> None:
        """Go to where the folder's checkpoint is, if it has one."""
        found = read_checkpoint(self.folder, self.identity)
        if found is None:
            return
        self.raw.load_state_dict(found.state["network"])
        self.optimizer.load_state_dict(found.state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(found.state["average"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(found.state["scaler"])
        self.step, self.sums, self.history = found.step, found.sums, found.history
        self.clock = found.clock


def check_finite(values: Mapping[str, float], when: str) -> None:
    """Stop a run whose numbers are not numbers any more.

    Raises:
        NonFiniteLoss: a value is NaN or infinite.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise NonFiniteLoss(
                f"the {name} is {value} {when}; try a lower --lr, a longer --warmup-epochs, or --clip-grad 1"
            )


def _make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    settings = recipe.optimizer
    groups = parameter_groups(network, settings.weight_decay, settings.layer_decay)
    if settings.optimizer == "sgd":
        momentum = settings.beta1
        return torch.optim.SGD(groups, lr=settings.lr, momentum=momentum, nesterov=momentum > 0, fused=True)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(settings.beta1, settings.beta2), fused=True)


def _step_seed(seed: int, step: int) -> int:
    """A seed for a step, unrelated to those of its neighbours."""
    digest = hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")
