"""Training a classifier: the loop's task, and one run from pictures to record."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet import progress
from modernet.atomic import check_writable
from modernet.benchmark import count
from modernet.data import Batch, ImageDataset, Loader, make_loader
from modernet.errors import InputError
from modernet.evaluation import Accuracy, evaluate_classifier
from modernet.recipes import Recipe, leaves
from modernet.records import RECORD_NAME, Record, environment
from modernet.training.checkpoint import remove_checkpoint
from modernet.training.identity import file_fingerprint, fingerprint, run_identity
from modernet.training.loop import check_finite, choose_device, train
from modernet.weights import NetworkSpec, StartingWeights, save_network

_EVALUATION_BATCH = 128  # keeps nothing for a backward pass, so it may be larger than a small training batch


class Classification:
    """The loop's task: cross-entropy with label smoothing, accuracy on the validation split."""

    def __init__(self, network: nn.Module, loader: Loader, validation: Loader, label_smoothing: float) -> None:
        self.network = network
        self.loader = loader
        self.validation = validation
        self.label_smoothing = label_smoothing

    def loss(self, network: Callable[..., Any], batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        try:
            scores = network(batch.images)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise InputError(
                "this network's batch norms need more than one picture; give --batch-size 2 or more"
            ) from error
        loss = F.cross_entropy(scores, batch.targets, label_smoothing=self.label_smoothing)
        if batch.targets.ndim == 2:  # mixed pictures: the share of right answers is not defined
            return loss, {}
        return loss, {"top1": 100 * (scores.detach().argmax(1) == batch.targets).float().mean()}

    def samples(self, batch: Batch) -> int:
        return len(batch.images)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        accuracy = evaluate_classifier(network, self.validation, "validating")
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
    should_stop: Callable[[], bool] = lambda: False,
) -> Record:
    """Train a classifier, test it, and leave its weights and its record in a folder.

    If the folder holds a checkpoint of this run, training goes on from it. Nothing is chosen on the test split: the
    network of the last step is tested, once.

    Args:
        spec: the network.
        dataset: the pictures, with their three splits.
        recipe: how to train.
        seed: of the first weights, the order of the pictures, and all noise.
        start: weights to begin with instead of random ones, the classifier excepted. Their normalisation of pictures
            takes the place of the data's own.
        folder: gets `record.json`, `network.json`, `model.safetensors`; `checkpoint.pt` while the run is unfinished.
        device: where to train; None is this machine's accelerator if it has one.
        study: what to add to the record's settings; `params` and `macs` are counted here if they are not in it.
        workers: how many such runs share the machine, for the record.
        should_stop: asked after every step; see `Interrupted`.

    Returns:
        The record, as written.

    Raises:
        Interrupted: `should_stop` said so; the same call goes on from the checkpoint.
        NonFiniteLoss: the loss became NaN or infinite.
        InputError: the pictures are too small for the network, the weights to start from do not fit it, or the
            folder's checkpoint belongs to another run.
    """
    where = Path(folder)
    device = device or choose_device()
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
    torch.manual_seed(seed)
    network = spec.build(len(dataset.classes), recipe.regularization.drop_path)
    if start is not None:
        loaded = start.load_into(network)
        resampled = f", resampled {', '.join(loaded.resampled)}" if loaded.resampled else ""
        progress.say(f"starting from {start.path.name} ({loaded.project}'s names){resampled}; the classifier is new")
    training = make_loader(
        dataset,
        dataset.train,
        batch_size=recipe.batch_size,
        device=device,
        augmentation=recipe.augmentation,
        seed=seed,
    )
    batch = max(recipe.batch_size, _EVALUATION_BATCH)
    validation, testing = (
        make_loader(dataset, split, batch_size=batch, device=device, augmentation=None)
        for split in (dataset.validation, dataset.test)
    )
    task = Classification(network, training, validation, recipe.regularization.label_smoothing)
    trained = train(
        task,
        recipe,
        seed=seed,
        device=device,
        folder=where,
        identity=run_identity(settings),
        should_stop=should_stop,
        name=spec.name,
    )
    test = evaluate_classifier(trained.network, testing, "testing")

    speed = trained.images_per_second
    metrics = {
        **_accuracy_metrics("test", test),
        "validation_top1": trained.history[-1]["validation_top1"],
        "validation_n": len(dataset.validation),
        **({} if speed is None else {"train_images_per_second": speed}),
        "seconds": trained.train_seconds,
    }
    check_finite(metrics, "on the test split")
    save_network(where, trained.network, spec, dataset)
    record = Record(
        kind="train",
        name=spec.name,
        settings=settings,
        metrics=metrics,
        history=trained.history,
        environment={**environment(describe_device(device)), "workers": workers},
    )
    record.write(where / RECORD_NAME)
    remove_checkpoint(where)
    return record


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
