"""What pre-training with masked images buys: pre-trained and fine-tuned against from scratch, in equal training time.

    python benchmarks/pretraining_gain.py --data DIR --out docs/results/pretraining-gain            one core, 3 hours
    python benchmarks/pretraining_gain.py --data DIR --out docs/results/pretraining-gain --minutes 20

A small ViT (MAE) and a small ConvNeXt V2 (FCMAE) learn from the same images, which all have labels. One arm trains with
labels for the whole time; the other pre-trains without them for half of it, and is then fine-tuned. How many epochs
that is follows from speeds that are measured in turns before; `--minutes` is the time of an arm by these speeds. Both
arms have the same recipe for labels. The same command resumes, also in the middle of a run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from modernet import progress
from modernet.data import ImageDataset, InMemory, open_dataset
from modernet.data.dataset import Split
from modernet.files.atomic import whole_file
from modernet.machine.timing import time_in_turns
from modernet.processes import ALONE
from modernet.recipes import ClassificationRecipe, Execution, PretrainingRecipe, get_recipe
from modernet.records import RECORD_NAME, Record, environment, read_record
from modernet.statistics import welch_interval
from modernet.tasks.classification import Classification, train_classifier
from modernet.tasks.pretraining import Pretraining, build_network, pretrain
from modernet.training import RunContext
from modernet.training.placement.placement import Placement
from modernet.training.steps.optimizer import make_optimizer
from modernet.training.task import Task
from modernet.weights import NetworkSpec, weights_of_run

CPU = torch.device("cpu")
ARMS = ("pre-trained", "from scratch")


@dataclass(frozen=True)
class Network:
    """A network with its pre-training and the recipe of both arms for labels."""

    title: str
    spec: NetworkSpec
    pretraining: PretrainingRecipe
    labels: ClassificationRecipe


def networks() -> dict[str, Network]:
    """Return a ViT and a ConvNeXt V2 for images of 32 pixels."""
    vit = {"image_size": 32, "patch_size": 4, "dim": 96, "depth": 6, "heads": 3}
    convnext = {"depths": [2, 2, 4, 2], "dims": [16, 32, 64, 128], "stem_stride": 1}
    labels = get_recipe("small_images")
    assert isinstance(labels, ClassificationRecipe)
    found = {}
    for name, title, model, fields, recipe, changes in (
        ("vit", "ViT, MAE", "vit_tiny_patch16", vit, "mae_nano", {"global_pool": "avg"}),
        ("convnextv2", "ConvNeXt V2, FCMAE", "convnextv2_atto", convnext, "fcmae_nano", {}),
    ):
        pretraining = get_recipe(recipe)
        assert isinstance(pretraining, PretrainingRecipe)
        found[name] = Network(title, NetworkSpec("model", model, fields), pretraining, labels.replace(**changes))
    return found


def steps_of(network: Network, dataset: ImageDataset) -> dict[str, Callable[[], None]]:
    """Return a training step with labels and one without, with loading and augmentation."""
    context, labels, pretraining = RunContext(CPU), network.labels, network.pretraining
    head = {name: getattr(pretraining, name) for name in ("decoder_dim", "decoder_depth")}
    masked = build_network(NetworkSpec(network.spec.kind, network.spec.name, network.spec.fields, head), 0)
    classifier = network.spec.build(len(dataset.classes))
    tasks: dict[str, tuple[Task, Any]] = {
        "labels": (Classification(classifier, network.spec, dataset, labels, context), labels),
        "pretraining": (Pretraining(masked, network.spec, dataset, pretraining, context), pretraining),
    }
    return {name: _step(task, recipe) for name, (task, recipe) in tasks.items()}


def _step(task: Task, recipe: Any) -> Callable[[], None]:
    placement = Placement(task.network, recipe, Execution(), CPU, ALONE)
    optimizer = make_optimizer(task.network, recipe)
    batches: Iterator[Any] = itertools.chain.from_iterable(map(task.batches.batches, itertools.count()))

    def step() -> None:
        loss, _ = task.loss(placement, next(batches))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return step


def speeds_of(network: Network, dataset: ImageDataset, path: Path) -> dict[str, float]:
    """Return images per second of both kinds of training, measured in turns once."""
    if path.exists():
        found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return found
    times = time_in_turns(steps_of(network, dataset), CPU, rounds=7, turn_s=1.0, name=f"speeds of {network.title}")
    sizes = {"labels": network.labels.batch_size, "pretraining": network.pretraining.batch_size}
    speeds = {name: sizes[name] / min(seconds) for name, seconds in times.items()}  # others can only slow it down
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(speeds, indent=1) + "\n", encoding="utf-8")
    return speeds


def run_arm(
    arm: str, network: Network, dataset: ImageDataset, epochs: Mapping[str, int], seed: int, folder: Path
) -> Record:
    """Train one arm with one seed, or read what it has left."""
    if (folder / RECORD_NAME).exists():
        return read_record(folder / RECORD_NAME)
    start = None
    if arm == ARMS[0]:
        before = folder / "pretraining"
        if not (before / RECORD_NAME).exists():
            pretrain(
                network.spec, dataset, network.pretraining.lasting(epochs["pretraining"]),
                seed=seed, folder=before, device=CPU,
            )  # fmt: skip
        start = weights_of_run(before)
    recipe = network.labels.lasting(epochs["fine-tuning" if start else "scratch"])
    return train_classifier(network.spec, dataset, recipe, seed=seed, start=start, folder=folder, device=CPU)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10 as parquet, or other images of 32 pixels")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs and the record")
    parser.add_argument("--minutes", type=float, default=15.0, help="training time of an arm")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=10_000, help="training images")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with progress.shown():
        dataset = subset(open_dataset(str(options.data)), options.images, 1000)
        records = [measure(name, network, dataset, options) for name, network in networks().items()]
    for record in records:
        print(record.name, *(f"  {name}: {value:.2f}" for name, value in record.metrics.items()), sep="\n")


def subset(dataset: ImageDataset, n_train: int, n_validation: int) -> ImageDataset:
    """Return a data set with so many images of its first two splits, the same in every call."""

    def reduced(split: Split, n: int) -> Split:
        if n >= len(split):
            return split
        assert isinstance(split, InMemory), "small images fit into memory"
        indices = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:n].sort().values
        return InMemory(split.images[indices], split.targets.take(indices.numpy()))

    return replace(dataset, train=reduced(dataset.train, n_train), validation=reduced(dataset.validation, n_validation))


def measure(name: str, network: Network, dataset: ImageDataset, options: argparse.Namespace) -> Record:
    """Run both arms of a network with every seed, and write the record of their difference."""
    folder, seconds, n = options.out / name, 60 * options.minutes, len(dataset.train)
    speeds = speeds_of(network, dataset, folder / "speeds.json")
    passes = {kind: max(1, round(seconds * speed / n)) for kind, speed in speeds.items()}
    half = {kind: max(1, round(seconds / 2 * speed / n)) for kind, speed in speeds.items()}
    epochs = {"scratch": passes["labels"], "fine-tuning": half["labels"], "pretraining": half["pretraining"]}
    scores: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for seed, arm in itertools.product(range(options.seeds), ARMS):
        progress.say(f"{network.title}, {arm}, seed {seed}: {epochs}")
        where = folder / arm.replace(" ", "-") / f"seed-{seed}"
        scores[arm].append(run_arm(arm, network, dataset, epochs, seed, where).metrics["test_top1"])
    metrics = {f"top1: {arm}": statistics.mean(values) for arm, values in scores.items()}
    interval = welch_interval(scores[ARMS[0]], scores[ARMS[1]])
    metrics["difference"] = metrics[f"top1: {ARMS[0]}"] - metrics[f"top1: {ARMS[1]}"]
    if interval is not None:
        metrics |= {"difference low": interval.low, "difference high": interval.high}
    record = Record(
        kind="pretraining gain",
        name=network.title,
        settings={
            "model": network.spec.name,
            "model_fields": network.spec.fields,
            "data": dataset.summary(),
            "seeds": options.seeds,
            "seconds of an arm": seconds,
            "images per second": speeds,
            "epochs": epochs,
            "top1": scores,
        },
        metrics=metrics,
        environment=environment("CPU, 1 thread"),
    )
    record.write(folder / RECORD_NAME)
    return record


if __name__ == "__main__":
    main()
