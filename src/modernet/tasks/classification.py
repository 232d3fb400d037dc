"""Training a classifier: the loop's task, and one run from images to record."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from modernet import progress
from modernet.counting import count
from modernet.data import Batch, ImageDataset, Loader, image_name, make_loader
from modernet.errors import InputError
from modernet.evaluation import Accuracy, evaluate_classifier
from modernet.files.atomic import check_writable
from modernet.models import Backbone
from modernet.processes import ALONE, Processes
from modernet.recipes import Execution, Recipe, leaves
from modernet.records import RECORD_NAME, Record, environment
from modernet.tasks.criterion import criterion
from modernet.tasks.head import drop_features, scale_head
from modernet.training.loop import train
from modernet.training.non_finite import check_finite
from modernet.training.placement.placement import choose_device
from modernet.training.state.checkpoint import Checkpoint, read_checkpoint, remove_checkpoint
from modernet.training.state.identity import file_fingerprint, fingerprint, run_identity
from modernet.training.watching.cost import Cost
from modernet.weights import NetworkSpec, StartingWeights, save_network

_EVALUATION_BATCH = 128  # keeps nothing for a backward pass, so it may be larger than a small training batch


class Classification:
    """The loop's task: the recipe's loss, accuracy on the validation split.

    Args:
        network: images `(b, 3, h, w)` -> scores `(b, k)`.
        loader: batches of `dataset.train`.
        validation: an evaluation loader.
    """

    def __init__(
        self,
        network: nn.Module,
        dataset: ImageDataset,
        loader: Loader,
        validation: Loader,
        recipe: Recipe,
        processes: Processes = ALONE,
    ) -> None:
        self.network = network
        self.loader = loader
        self._dataset, self._validation, self._processes = dataset, validation, processes
        self._criterion = criterion(recipe)

    def loss(self, network: Callable[..., Any], batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        try:
            scores = network(batch.images)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise InputError(
                "this network's batch norms need more than one image in a part of a batch; give a larger "
                "--batch-size or --device-batch, or fewer processes"
            ) from error
        loss = self._criterion(scores, batch.targets)
        if batch.targets.ndim == 2:  # mixed images: the share of right answers is not defined
            return loss, {}
        return loss, {"top1": 100 * (scores.detach().argmax(1) == batch.targets).float().mean()}

    def samples(self, batch: Batch) -> int:
        return len(batch.images)

    def names(self, batch: Batch) -> Callable[[], list[str]]:
        split, positions = self._dataset.train, batch.positions
        return lambda: [image_name(split, position) for position in positions.tolist()]

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        accuracy = evaluate_classifier(network, self._validation, "validating", self._processes)
        return {"validation_loss": accuracy.loss, "validation_top1": accuracy.top1}


def classifier_settings(
    spec: NetworkSpec, dataset: ImageDataset, recipe: Recipe, seed: int, study: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a record says was run; two runs with equal settings give equal results on one device.

    Args:
        study: where the run belongs, as the study that asks for it writes it.
    """
    return {
        **(study or {}),
        "model": spec.name,
        "model_kind": spec.kind,
        "model_fields": dict(spec.fields),
        "data": {**dataset.summary(), "fingerprint": fingerprint(dataset)},
        "recipe": leaves(recipe),
        "seed": seed,
    }


def train_classifier(
    spec: NetworkSpec,
    dataset: ImageDataset,
    recipe: Recipe,
    *,
    seed: int = 0,
    start: StartingWeights | None = None,
    folder: str | os.PathLike[str],
    device: torch.device | None = None,
    study: Mapping[str, Any] | None = None,
    workers: int = 1,
    execution: Execution | None = None,
    processes: Processes = ALONE,
    tell_cost: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Record:
    """Train a classifier, test it, and leave its weights and its record in a folder.

    If the folder holds a checkpoint of this run, training goes on from it. Nothing is chosen on the test split: the
    network of the last step is tested, once.

    Args:
        spec: the network.
        dataset: the images, with their three splits.
        recipe: how to train.
        seed: of the first weights, the order of the images, and all noise.
        start: weights to begin with instead of random ones, the classifier excepted. Their normalisation of images
            takes the place of the data's own.
        folder: gets `record.json`, `network.json`, `model.safetensors`, `metrics.jsonl`; checkpoints while the run is
            unfinished. Several processes need one that all of them see.
        device: where to train; None is this machine's accelerator if it has one.
        study: what to add to the record's settings; `params` and `macs` are counted here if they are not in it.
        workers: how many such runs share the machine, for the record.
        execution: how to use the machine; None is as plainly as possible.
        processes: those that train together, from `join_processes`; each makes this same call.
        tell_cost: say what the run will take, once its speed is known.
        should_stop: asked after every step; see `Interrupted`.

    Returns:
        The record, as the first process writes it; in the others times and energy may differ.

    Raises:
        Interrupted: `should_stop` said so; the same call goes on from the checkpoint.
        NonFiniteLoss: the loss became NaN or infinite.
        DiskFull: there was no room for a checkpoint.
        InputError: the images are too small for the network, the weights to start from do not fit it, the batch
            cannot be cut as the execution wants it, or the folder's checkpoint belongs to another run.
    """
    where = Path(folder)
    device = device or choose_device(processes)
    execution = execution or Execution()
    if processes.main:
        check_writable(where)
    study = dict(study or {})
    if start is not None:
        dataset = replace(dataset, mean=start.mean, std=start.std)
    if "macs" not in study:
        with torch.device("meta"):
            study |= asdict(count(spec.build(len(dataset.classes)), dataset.image_size))
    settings = classifier_settings(spec, dataset, recipe, seed, study)
    if start is not None:
        settings["weights"] = {"file": start.path.name, "fingerprint": file_fingerprint(start.path)}
    identity = run_identity(settings)
    checkpoint = _read_together(where, identity, processes)
    parts = _parts(recipe, execution, processes, checkpoint)

    torch.manual_seed(seed)
    network = spec.build(len(dataset.classes), recipe.regularization.drop_path)
    if start is not None:
        loaded = start.load_into(network)
        resampled = f", resampled {', '.join(loaded.resampled)}" if loaded.resampled else ""
        progress.say(f"starting from {start.path.name} ({loaded.project}'s names){resampled}; the classifier is new")
    assert isinstance(network, Backbone), "zoo and road make backbones"
    scale_head(network, recipe.regularization.head_init_scale)
    drop_features(network, recipe.regularization.dropout)
    training = make_loader(
        dataset,
        dataset.train,
        batch_size=recipe.batch_size,
        device=device,
        augmentation=recipe.augmentation,
        sizes=recipe.images,
        seed=seed,
        workers=execution.loading_workers,
        parts=parts,
        rank=processes.rank,
        world=processes.world,
    )
    batch = max(recipe.batch_size // parts, _EVALUATION_BATCH) * processes.world
    validation, testing = (
        make_loader(
            dataset,
            split,
            batch_size=batch,
            device=device,
            augmentation=None,
            sizes=recipe.images,
            workers=execution.loading_workers,
            rank=processes.rank,
            world=processes.world,
        )
        for split in (dataset.validation, dataset.test)
    )
    cost = None
    if tell_cost and processes.main:
        cost = Cost(study["macs"], recipe, training.samples_per_epoch, device, processes)
    trained = train(
        Classification(network, dataset, training, validation, recipe, processes),
        recipe,
        seed=seed,
        device=device,
        folder=where,
        identity=identity,
        checkpoint=checkpoint,
        execution=execution,
        parts=parts,
        processes=processes,
        should_stop=should_stop,
        name=spec.name,
        cost=cost,
    )
    test = evaluate_classifier(trained.network, testing, "testing", processes)

    speed = trained.images_per_second
    metrics = {
        **_accuracy_metrics("test", test),
        "validation_top1": trained.history[-1]["validation_top1"],
        "validation_n": len(dataset.validation),
        **({} if speed is None else {"train_images_per_second": speed}),
        **({} if trained.energy_joules is None else {"train_energy_kwh": trained.energy_joules / 3.6e6}),
        **({"skipped_steps": trained.skipped} if trained.skipped else {}),
        "seconds": trained.train_seconds,
    }
    check_finite(metrics, "on the test split")
    record = Record(
        kind="train",
        name=spec.name,
        settings=settings,
        metrics=metrics,
        history=trained.history,
        environment={
            **environment(describe_device(device)),
            "workers": workers,
            "processes": processes.world,
            "execution": asdict(execution) | {"parts": parts},
        },
    )
    if processes.main:
        save_network(where, trained.network, spec, dataset, recipe.images)
        record.write(where / RECORD_NAME)
        remove_checkpoint(where)
    processes.wait()
    return record


def _read_together(folder: Path, identity: Mapping[str, Any], processes: Processes) -> Checkpoint | None:
    """The checkpoint that all processes go on from.

    Raises:
        InputError: none can be read, or the processes do not see the same one.
    """
    found, failure = None, None
    try:
        found = read_checkpoint(folder, identity)
    except InputError as error:
        failure = error
    seen = processes.gather((found is not None and found.step, str(failure or "")))
    if failure is None and len(set(seen)) > 1:
        failure = InputError(
            f"not all processes see the same checkpoint in {folder}; give an --out on a file system that they share"
        )
    if failure is not None:
        raise failure
    return found


def _parts(recipe: Recipe, execution: Execution, processes: Processes, checkpoint: Checkpoint | None) -> int:
    """Into how many parts a batch is cut: one a process, or more where devices take fewer images at once.

    Raises:
        InputError: that does not come out even, or a run would go on with other parts than it began with.
    """
    parts = execution.parts(recipe.batch_size, processes.world)
    if checkpoint is None or checkpoint.parts == parts:
        return parts
    if execution.device_batch is not None:
        raise InputError(
            f"the run began with {checkpoint.parts} parts of each batch, not {parts}; leave out --device-batch"
        )
    if checkpoint.parts % processes.world:
        raise InputError(
            f"the run began with {checkpoint.parts} parts of each batch, which {processes.world} processes cannot "
            f"share evenly; go on with a number of processes that divides {checkpoint.parts}"
        )
    return checkpoint.parts


def describe_device(device: torch.device) -> str:
    """The device in words, for a record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    return device.type


def _accuracy_metrics(split: str, accuracy: Accuracy) -> dict[str, float]:
    return {
        f"{split}_top1": accuracy.top1,
        f"{split}_top5": accuracy.top5,
        f"{split}_loss": accuracy.loss,
        f"{split}_n": accuracy.n,
    }
