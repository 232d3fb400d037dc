"""Compare the trainings of `modernet compare` on all cores with the same trainings one after another.

    uv run python benchmarks/comparing.py --out results/my-compare                     4 networks x 3 seeds, 3 rounds

In a turn four nano networks are trained with three seeds each: as `compare` does it, in a process for each core, or one
by one in this process with all cores, as `modernet train` would. What processes need to start is counted. Rounds begin
with the one and with the other in turn.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path

import torch

from modernet import progress
from modernet.machine.device import describe
from modernet.machine.timing import seconds_of, speed_ratio
from modernet.recipes import default_recipe, get_recipe
from modernet.records import RECORD_NAME, Record, environment
from modernet.studies import Machines
from modernet.studies.compare import CompareRequest
from modernet.studies.compare.budgets import Share
from modernet.studies.compare.plan import make_plan
from modernet.studies.compare.runs import train_run
from modernet.studies.finishing import train_unfinished

NETWORKS = ("resnet18:width=16", "resnet50d:width=8", "convnext_test", "swin_test")
TOGETHER, IN_TURN = "one for each core", "one after another"


def train_all(request: CompareRequest, workers: int | None) -> None:
    """Train every network with every seed, as the second phase of `compare`."""
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(request, Machines(workers=workers), Path(folder))
        assert len(plan.trainable) == len(request.candidates), plan.failed
        epochs = request.recipe.schedule.epochs
        runs = [run for each in plan.trainable for run in plan.final_runs(each, Share(epochs), {})]
        train_unfinished(plan.folder, plan.resources, runs, "training", train_run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digit_scenes", help="images (digit_scenes)")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), help="as modernet compare takes them")
    parser.add_argument("--epochs", type=int, default=12, help="of each training (12)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, help="folder for the record")
    options = parser.parse_args()
    recipe = get_recipe(default_recipe(options.data)).lasting(options.epochs)
    request = CompareRequest(tuple(options.networks), options.data, recipe, seeds=options.seeds)
    calls = {TOGETHER: partial(train_all, request, None), IN_TURN: partial(train_all, request, 1)}
    cpu = torch.device("cpu")
    rounds: list[dict[str, float]] = []
    with progress.shown():
        for number in range(options.rounds):
            order = list(calls)[:: -1 if number % 2 else 1]
            rounds.append({name: seconds_of(calls[name], 1, cpu) for name in order})
            progress.say(", ".join(f"{name} {rounds[-1][name]:.1f} s" for name in calls))
    seconds = {name: [each[name] for each in rounds] for name in calls}
    ratio = speed_ratio(seconds[TOGETHER], seconds[IN_TURN])
    record = Record(
        kind="comparing",
        name="trainings of a comparison on all cores, against one after another",
        settings={
            "networks": options.networks,
            "data": options.data,
            "seeds": options.seeds,
            "recipe": recipe.name,
            "epochs": recipe.schedule.epochs,
        },
        metrics={
            **{f"seconds {name}": statistics.median(values) for name, values in seconds.items()},
            **{f"ratio to {IN_TURN}, {part}": getattr(ratio, part) for part in ("median", "low", "high")},
        },
        history=rounds,
        environment=environment(describe(cpu, torch.get_num_threads())),
    )
    record.write(options.out / RECORD_NAME)
    for name, values in seconds.items():
        print(f"{name:18}{statistics.median(values):9.1f} s")
    print(f"{ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]")


if __name__ == "__main__":
    main()
