"""The work of two processes in tests, started with torchrun's environment: `two_processes.py FOLDER JOB...`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

import found_objects
import modernet.processes
import toy_task
from modernet.cli import main
from modernet.errors import InputError
from modernet.models import create_model
from modernet.processes import Processes, join_processes
from modernet.recipes import Execution, leaves
from modernet.training import Interrupted, Intervals
from modernet.training.placement.placement import Placement
from modernet.training.run import read_checkpoint_together
from small_runs import CPU, NOT_RANDOM, RANDOM, RESNET, after, checkpoint_after_every_step, losses, run


def stopped_while_sharded(folder: Path, processes: Processes) -> bool:
    """Whether a run with sharded weights was stopped in its second epoch."""
    intervals = Intervals(checkpoint_s=1e9, read_s=0.0)
    execution = Execution(shard=True)
    try:
        run(folder, RANDOM, processes, micro_batches=2, execution=execution, intervals=intervals, should_stop=after(7))
    except Interrupted:
        return True
    return False


def message_when_one_sees_no_checkpoint(folder: Path, processes: Processes) -> str:
    """What both processes report when the second one does not see the checkpoint of the first."""
    try:
        read_checkpoint_together(folder if processes.main else folder / "elsewhere", leaves(RANDOM), processes)
    except InputError as error:
        return str(error)
    return ""


def difference_after_sharding(processes: Processes) -> float:
    """Largest difference of the scores of a Swin before sharding and after gathering it again."""
    torch.manual_seed(0)
    network, images = create_model("swin_test", num_classes=2).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = network(images)
        placement = Placement(network, NOT_RANDOM, Execution(shard=True), CPU, processes)
        return float((placement.result()(images) - before).abs().max())


def train_arguments(folder: Path, out: str) -> list[str]:
    """`modernet train` on the images in a folder."""
    options = ["--model", "convnext_test", "--model-fields", "stem_stride=1", "--epochs", "6"]
    options += ["--batch-size", "16", "--drop-path", "0.2"]
    return ["train", "--data", str(folder / "images"), *options, "--out", str(folder / out)]


def begin(folder: Path, jobs: list[str]) -> None:
    torch.set_num_threads(1)
    processes = join_processes()
    modernet.processes.leave_processes = lambda: None  # or the command line would separate them between two jobs
    results: dict[str, Any] = {}
    for job in jobs:
        if job == "random":
            results[job] = losses(run(folder / job, RANDOM, processes, micro_batches=2))
        elif job == "not_random":
            results[job] = losses(run(folder / job, NOT_RANDOM, processes, micro_batches=2))
        elif job == "sharded":
            results[job] = stopped_while_sharded(folder / job, processes)
        elif job == "different_checkpoints":
            message = message_when_one_sees_no_checkpoint(folder / "sharded", processes)
            results[job] = processes.gather(message)
        elif job == "sum":
            value = torch.tensor([1.0, 10.0]) * (processes.rank + 1)
            total = processes.sum(value)
            results[job] = processes.gather((value.tolist(), total.tolist()))
        elif job == "average_precision":
            measured = found_objects.collected(range(processes.rank, 7, 2), processes).measure()
            results[job] = processes.gather(asdict(measured))
        elif job == "toy":
            trainings = {
                count: toy_task.run(folder / f"toy-{count}", processes=processes, micro_batches=count)
                for count in (2, 4)
            }
            results[job] = processes.gather({count: toy_task.numbers(done) for count, done in trainings.items()})
        elif job == "batch_norm":
            trained = run(folder / job, NOT_RANDOM, processes, micro_batches=2, spec=RESNET)
            statistics = {name: value.tolist() for name, value in trained.network.named_buffers()}
            results[job] = processes.gather((statistics, losses(trained)))
        elif job == "gathered":
            results[job] = difference_after_sharding(processes)
        elif job == "whole":
            assert main(train_arguments(folder, job)) == 0
        elif job == "killed":
            if processes.main:
                (folder / "results.json").write_text(json.dumps(results))
            checkpoint_after_every_step()
            sys.exit(main(train_arguments(folder, "killed")))
        elif job == "resumed":
            assert main([*train_arguments(folder, "killed"), "--resume"]) == 0


if __name__ == "__main__":
    begin(Path(sys.argv[1]), sys.argv[2:])
