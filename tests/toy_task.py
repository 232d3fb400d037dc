"""The smallest task whose weight varies: least squares over the valid rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from modernet.data import Place
from modernet.processes import ALONE, Processes
from modernet.recipes import Recipe
from modernet.records import Metric
from modernet.training import Intervals, RunContext, Task, Trained, read_checkpoint, train
from modernet.training.task import HeldOut

STEPS, ROWS = 4, 8  # per epoch, per step
VALID = torch.tensor(
    [
        [1, 0, 1, 1, 1, 0, 0, 1],  # in 4 micro-batches, rows 0 and 4, 1 and 5, ...: 2, 0, 1 and 2 valid rows
        [1, 1, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1, 0],
    ]
)


@dataclass(frozen=True)
class ToyRecipe(Recipe):
    task: ClassVar[str] = "toy"


RECIPE = ToyRecipe("toy", "none").replace(epochs=2, batch_size=ROWS, lr=0.1, warmup_epochs=0.5, clip_grad=1.0)


@dataclass(frozen=True)
class Rows:
    """A micro-batch: inputs `(r, 3)`, targets `(r,)`, and which of them count."""

    inputs: Tensor
    targets: Tensor
    valid: Tensor


class RowBatches:
    """Every step takes the next 8 rows; micro-batch `j` of `m` has rows `j, j + m, j + 2 m, ...` of them."""

    steps_per_epoch = STEPS
    samples_per_epoch = STEPS * ROWS

    def __init__(self, place: Place) -> None:
        self._place = place
        generator = torch.Generator().manual_seed(1)
        self.inputs = torch.randn(STEPS, ROWS, 3, generator=generator, dtype=torch.float64)
        self.targets = self.inputs @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + 1

    @property
    def micro_batches_per_step(self) -> int:
        return self._place.micro_batches // self._place.world

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Rows]:
        count = self._place.micro_batches
        for step in range(first_step, STEPS):
            for index in range(self._place.rank, count, self._place.world):
                rows = slice(index, None, count)
                yield Rows(self.inputs[step, rows], self.targets[step, rows], VALID[step, rows])


class Toy(Task):
    """Its state is the number of micro-batches that it computed a loss of, and the mean of their targets."""

    kind: ClassVar[str] = "toy"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("error", "absolute error", unit="m", digits=3, higher_is_better=False, limits=(0.0, None)),
    )
    unit: ClassVar[str] = "rows"

    def __init__(self, context: RunContext) -> None:
        torch.manual_seed(0)
        self.network = nn.Linear(3, 1).double()
        self.batches: RowBatches = RowBatches(context.place)
        self.seen, self.mean = 0, torch.zeros((), dtype=torch.float64)
        self.evaluations: list[str] = []

    def weight(self, batch: Rows) -> Tensor:
        return batch.valid.sum()

    def loss(self, network: Callable[..., Any], batch: Rows) -> tuple[Tensor, Mapping[str, Tensor]]:
        self.seen += 1
        self.mean += (batch.targets.mean() - self.mean) / self.seen
        count = batch.valid.sum().clamp(min=1)
        errors = network(batch.inputs)[:, 0] - batch.targets
        means = {"error": (errors.detach().abs() * batch.valid).sum() / count}
        return (errors.square() * batch.valid).sum() / count, means

    def samples(self, batch: Rows) -> int:
        return len(batch.inputs)

    def names(self, batch: Rows) -> Callable[[], list[str]]:
        count = len(batch.inputs)
        return lambda: [f"row {index}" for index in range(count)]

    @torch.no_grad()
    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        self.evaluations.append(split)
        self.details = {"evaluations": list(self.evaluations)}
        errors = network(self.batches.inputs)[..., 0] - self.batches.targets
        return {"loss": float(errors.square().mean()), "error": float(errors.abs().mean()), "n": float(STEPS * ROWS)}

    def save(self, folder: Path, network: nn.Module) -> None:
        torch.save(network.state_dict(), folder / "toy.pt")

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen, "mean": self.mean}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.seen, self.mean = state["seen"], state["mean"].clone()


def context_of(processes: Processes = ALONE, micro_batches: int = 1) -> RunContext:
    return RunContext(torch.device("cpu"), processes, micro_batches=micro_batches)


def run(
    folder: Path,
    recipe: Recipe = RECIPE,
    processes: Processes = ALONE,
    *,
    micro_batches: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
    intervals: Intervals = Intervals(),  # noqa: B008 - frozen
    task: Toy | None = None,
) -> Trained:
    """Train from the checkpoint in the folder, or from the beginning."""
    context = context_of(processes, micro_batches)
    return train(
        task or Toy(context),
        recipe,
        context,
        seed=0,
        folder=folder,
        identity={},
        checkpoint=read_checkpoint(folder, {}),
        should_stop=should_stop,
        intervals=intervals,
    )


def numbers(trained: Trained) -> list[float]:
    """Return the weights, the bias, and the training loss and error of every epoch."""
    weights = [value for parameter in trained.network.parameters() for value in parameter.flatten().tolist()]
    return weights + [row[key] for row in trained.history for key in ("train_loss", "train_error")]
