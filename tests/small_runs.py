"""Short trainings of a tiny network, for tests of several packages and for processes that tests start."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from conftest import striped
from modernet.data import ImageDataset
from modernet.preparation import Preparation
from modernet.processes import ALONE, Processes
from modernet.recipes import ClassificationRecipe, Execution, for_classification, get_recipe, leaves
from modernet.tasks import classification
from modernet.tasks.classification import Classification
from modernet.training import Intervals, RunContext, Trained, read_checkpoint, run_task, train
from modernet.weights import NetworkSpec

CPU = torch.device("cpu")
SPEC = NetworkSpec("model", "convnext_test", {"stem_stride": 1, "layer_scale_init": 0.1})
RESNET = NetworkSpec("model", "resnet_test", {"stem_stride": 1})
"""A network with batch norms."""
QUICK = for_classification(get_recipe("quick"))
RANDOM = QUICK.replace(
    epochs=2, batch_size=16, drop_path=0.2, erasing=0.3, cutmix=1.0, mix_prob=0.5, ema_decay=0.9, clip_grad=1.0
)
"""A recipe with noise of every kind, and with state of every kind in its checkpoints. An epoch has 5 steps."""
NOT_RANDOM = QUICK.replace(epochs=2, batch_size=16, flip=0.0, shift=0.0)
EVERY_STEP = Intervals(checkpoint_s=0.0, checkpoint_share=math.inf, read_s=0.0)
"""A checkpoint after every step."""


def stripes_of_70() -> ImageDataset:
    """Return 70 training images, which is not a multiple of any batch, 50 for validation and 30 for test."""
    splits = {name: striped(70 - 20 * seed, seed) for seed, name in enumerate(("train", "validation", "test"))}
    return ImageDataset("stripes", ("h", "v"), Preparation(16, (0.5,) * 3, (0.3,) * 3), **splits)


def context_of(processes: Processes = ALONE, micro_batches: int = 1, execution: Execution | None = None) -> RunContext:
    return RunContext(CPU, processes, execution or Execution(), micro_batches)


def new_task(
    recipe: ClassificationRecipe,
    context: RunContext,
    spec: NetworkSpec = SPEC,
    kind: type[Classification] = Classification,
) -> Classification:
    """Return the task of a short training; `kind` is a variant of `Classification` to test the loop with."""
    torch.manual_seed(0)
    data = stripes_of_70()
    return kind(spec.build(2, recipe.regularization.drop_path), spec, data, recipe, context)


def run(
    folder: Path,
    recipe: ClassificationRecipe = RANDOM,
    processes: Processes = ALONE,
    *,
    micro_batches: int = 1,
    execution: Execution | None = None,
    intervals: Intervals = Intervals(),  # noqa: B008 - frozen
    should_stop: Callable[[], bool] = lambda: False,
    spec: NetworkSpec = SPEC,
    kind: type[Classification] = Classification,
) -> Trained:
    """Train from the checkpoint in the folder, or from the beginning."""
    context = context_of(processes, micro_batches, execution)
    return train(
        new_task(recipe, context, spec, kind),
        recipe,
        context,
        seed=5,
        folder=folder,
        identity=leaves(recipe),
        checkpoint=read_checkpoint(folder, leaves(recipe)),
        should_stop=should_stop,
        intervals=intervals,
    )


def after(steps: int) -> Callable[[], bool]:
    """Request a stop after some steps."""
    calls = itertools.count(1)
    return lambda: next(calls) >= steps


def nan_at(step: int) -> type[Classification]:
    """Return a task whose loss is NaN, as are its gradients, in one step of this process, counted from 0."""
    calls = itertools.count()

    class NanAtStep(Classification):
        def loss(self, network: Callable[..., Any], batch: Any) -> Any:
            loss, means = super().loss(network, batch)
            return loss * (math.nan if next(calls) == step else 1.0), means

    return NanAtStep


def losses(trained: Trained) -> list[tuple[float, float]]:
    """Return the training and the validation loss of every epoch."""
    return [(row["train_loss"], row["validation_loss"]) for row in trained.history]


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether weights and buffers are equal, bit for bit."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


def checkpoint_after_every_step() -> None:
    """Let every further training of this process, however it is started, write a checkpoint after every step."""
    classification.run_task = functools.partial(run_task, intervals=EVERY_STEP)  # type: ignore[assignment]
