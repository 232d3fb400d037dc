"""Tasks on point clouds: their base, with the tests of the last epochs, and how one is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Unpack

from torch import Tensor, nn

from modernet.counting.parameters import count_parameters
from modernet.data.loading.plan import Place
from modernet.data.points.dataset import PointBatch, PointDataset
from modernet.data.points.loading import PointLoader, point_loader
from modernet.errors import InputError
from modernet.points.penalties import collected_penalties
from modernet.recipes import PointRecipe
from modernet.records import Metric, Record
from modernet.tasks import point_runs
from modernet.training.context import RunContext
from modernet.training.run import RunOptions, RunSpec, run_task
from modernet.training.task import HeldOut, Task
from modernet.weights import NetworkSpec, StartingWeights, save_network

TESTED_EPOCHS = 5
"""How many of the last epochs are tested. Releases of the field report the best test epoch. Here it is the last one,
with mean and spread over these beside it."""


def over_last_epochs(name: str, title: str) -> tuple[Metric, Metric]:
    """Return the metrics that a record has of the tests of the last epochs, by the primary metric's name and title."""
    return (
        Metric(f"{name}_mean", f"{title}, mean of the last {TESTED_EPOCHS} epochs"),
        Metric(f"{name}_spread", "standard deviation over these epochs", higher_is_better=False),
    )


class PointTask(Task):
    """A task on point clouds.

    Args:
        network: takes the inputs of a `PointBatch`.
        spec: how it was built, to save it.
        dataset: the clouds, with their three splits.
        recipe: how to train.
        seed: of the order of the clouds, and of how they are moved.
    """

    unit: ClassVar[str] = "clouds"
    tested_epochs = TESTED_EPOCHS

    def __init__(
        self,
        network: nn.Module,
        spec: NetworkSpec,
        dataset: PointDataset,
        recipe: PointRecipe,
        context: RunContext,
        seed: int = 0,
    ) -> None:
        self.network, self.spec, self.dataset = network, spec, dataset
        self.context, self._recipe = context, recipe
        self.batches = point_loader(
            dataset.train,
            dataset.inputs,
            batch_size=recipe.batch_size,
            device=context.device,
            seed=seed,
            place=context.place,
            train=True,
            augmentation=recipe.cloud_augmentation,
            up=dataset.up,
        )

    def samples(self, batch: PointBatch) -> int:
        return len(batch.targets)

    def names(self, batch: PointBatch) -> Callable[[], list[str]]:
        names, positions = self.dataset.train.names, batch.positions
        return lambda: [
            names[position] if names else f"cloud {position} of the training split" for position in positions.tolist()
        ]

    def answers(self, network: Callable[..., Any], batch: PointBatch) -> tuple[Tensor, Tensor | int]:
        """Return the logits for a micro-batch of training, and what the network adds to its loss, a mean over clouds.

        Raises:
            InputError: it has a single cloud, and the network has batch norms of whole clouds.
        """
        try:
            with collected_penalties() as penalties:
                logits: Tensor = network(*batch.inputs)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise InputError(
                "the batch norms of this network need more than one cloud per micro-batch; give a larger --batch-size "
                "or --device-batch, or fewer processes"
            ) from error
        return logits, sum(penalties)

    def held_out(self, split: HeldOut) -> PointLoader:
        """Return the loader that evaluates a split, a share of it in each process."""
        processes = self.context.processes
        return point_loader(
            getattr(self.dataset, split),
            self.dataset.inputs,
            batch_size=max(self._recipe.batch_size // self.context.micro_batches, 1) * processes.world,
            device=self.context.device,
            place=Place(processes.world, processes.rank, processes.world),
            train=False,
        )

    def save(self, folder: Path, network: nn.Module) -> None:
        save_network(folder, network, self.spec, self.dataset.classes, self.dataset.inputs, self.kind)


def train_point_task(
    task: type[PointTask],
    build_network: Callable[[NetworkSpec, int], nn.Module],
    spec: NetworkSpec,
    dataset: PointDataset,
    recipe: PointRecipe,
    *,
    seed: int = 0,
    start: StartingWeights | None = None,
    study: Mapping[str, Any] | None = None,
    **run: Unpack[RunOptions],
) -> Record:
    """Train the network of a task; the other arguments and errors are those of `train_points`.

    Args:
        task: what is trained.
        build_network: as `TaskModule.build_network`.
    """
    spec, k = point_runs.with_inputs(spec, dataset), len(dataset.classes)
    settings = point_runs.point_settings(spec, dataset, recipe, seed, start=start, study=study)
    settings["params"] = count_parameters(lambda: build_network(spec, k))

    def build(context: RunContext) -> PointTask:
        network = build_network(spec, k)
        point_runs.start_from(start, network, spec, dataset.classes, build_network)
        return task(network, spec, dataset, recipe, context, seed)

    return run_task(build, RunSpec(spec.name, recipe, seed, settings), **run)
