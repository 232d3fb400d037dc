"""What tests run in two processes, which have the environment of torchrun: `two_processes.py FOLDER JOB...`."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

import modernet.processes
from conftest import striped
from modernet.cli import main
from modernet.data import ImageDataset, make_loader
from modernet.models import create_model
from modernet.processes import ALONE, Processes, join_processes
from modernet.recipes import Execution, Recipe, get_recipe, leaves
from modernet.tasks.classification import Classification
from modernet.training import Interrupted, Trained, loop, read_checkpoint, train
from modernet.training.placement.placement import Placement
from modernet.training.watching import pace

CPU = torch.device("cpu")
RANDOM = get_recipe("quick").replace(
    epochs=2, batch_size=16, drop_path=0.2, erasing=0.3, cutmix=1.0, mix_prob=0.5, ema_decay=0.9, clip_grad=1.0
)
NOT_RANDOM = get_recipe("quick").replace(epochs=2, batch_size=16, flip=0.0, shift=0.0)


def dataset() -> ImageDataset:
    """70 training images: not a multiple of any batch."""
    parts = {name: striped(70 - 20 * seed, seed) for seed, name in enumerate(("train", "validation", "test"))}
    return ImageDataset("stripes", ("h", "v"), 16, (0.5,) * 3, (0.3,) * 3, **parts)


def run(
    folder: Path,
    recipe: Recipe,
    processes: Processes = ALONE,
    *,
    parts: int,
    execution: Execution | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    model: str = "convnext_test",
) -> Trained:
    data = dataset()
    torch.manual_seed(0)
    rate = recipe.regularization.drop_path
    fields = {"layer_scale_init": 0.1} if model == "convnext_test" else {}
    network = create_model(model, num_classes=2, drop_path_rate=rate, stem_stride=1, **fields)
    place = {"rank": processes.rank, "world": processes.world}
    training = make_loader(
        data, data.train, batch_size=16, device=CPU, augmentation=recipe.augmentation, parts=parts, **place
    )
    validation = make_loader(data, data.validation, batch_size=16, device=CPU, augmentation=None, **place)
    return train(
        Classification(network, data, training, validation, recipe, processes),
        recipe,
        seed=5,
        device=CPU,
        folder=folder,
        identity=leaves(recipe),
        checkpoint=read_checkpoint(folder, leaves(recipe)),
        execution=execution,
        parts=parts,
        processes=processes,
        should_stop=should_stop,
    )


def losses(trained: Trained) -> list[tuple[float, float]]:
    return [(row["train_loss"], row["validation_loss"]) for row in trained.history]


def stopped_while_sharded(folder: Path, processes: Processes) -> bool:
    """A run whose weights are spread over the processes, stopped in its second epoch."""
    asked = itertools.count(1)
    execution = Execution(shard=True)
    try:
        run(folder, RANDOM, processes, parts=2, execution=execution, should_stop=lambda: next(asked) >= 7)
    except Interrupted:
        return True
    return False


def difference_when_made_whole(processes: Processes) -> float:
    """Largest difference of the scores of a Swin before it was spread and after it was made whole."""
    torch.manual_seed(0)
    network, images = create_model("swin_test", num_classes=2).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = network(images)
        placement = Placement(network, NOT_RANDOM, Execution(shard=True), CPU, processes)
        return float((placement.result()(images) - before).abs().max())


def train_arguments(folder: Path, out: str) -> list[str]:
    """A training by the command line, of the images in a folder."""
    options = ["--model", "convnext_test", "--model-fields", "stem_stride=1", "--epochs", "6"]
    options += ["--batch-size", "16", "--drop-path", "0.2"]
    return ["train", "--data", str(folder / "images"), *options, "--out", str(folder / out)]


def begin(folder: Path, jobs: list[str]) -> None:
    torch.set_num_threads(1)
    processes = join_processes()
    modernet.processes.leave_processes = lambda: None  # the command line would part them between two jobs
    results: dict[str, Any] = {}
    for job in jobs:
        if job == "random":
            results[job] = losses(run(folder / job, RANDOM, processes, parts=2))
        elif job == "not_random":
            results[job] = losses(run(folder / job, NOT_RANDOM, processes, parts=2))
        elif job == "sharded":
            loop._CHECKPOINT_INTERVAL_S, pace.READ_INTERVAL_S = 1e9, 0.0
            results[job] = stopped_while_sharded(folder / job, processes)
        elif job == "batch_norm":
            trained = run(folder / job, NOT_RANDOM, processes, parts=2, model="resnet_test")
            statistics = {name: value.tolist() for name, value in trained.network.named_buffers()}
            results[job] = processes.gather((statistics, losses(trained)))
        elif job == "made_whole":
            results[job] = difference_when_made_whole(processes)
        elif job == "whole":
            assert main(train_arguments(folder, job)) == 0
        elif job == "killed":
            if processes.main:
                (folder / "results.json").write_text(json.dumps(results))
            loop._CHECKPOINT_INTERVAL_S, loop._CHECKPOINT_SHARE, pace.READ_INTERVAL_S = 0.0, 1e9, 0.0
            sys.exit(main(train_arguments(folder, "killed")))
        elif job == "resumed":
            assert main([*train_arguments(folder, "killed"), "--resume"]) == 0


if __name__ == "__main__":
    begin(Path(sys.argv[1]), sys.argv[2:])
