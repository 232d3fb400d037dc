"""ConvNeXt and ResNets on small images, with equal training time, on one GPU, in nine minutes.

    python benchmarks/gpu_small_data.py --data DIR                  cifar10/ and tiny_imagenet_50/ as parquet below DIR
    python benchmarks/gpu_small_data.py --data DIR --only cifar10   the whole time for one part
    python benchmarks/gpu_small_data.py --data DIR --on-cpu         another plan, for one core and 45 minutes
    python benchmarks/gpu_small_data.py --rehearse                  the same steps on a CPU: tiny, no results

For each part, the training speeds of all candidates are measured in turns. The seconds of a run follow from the
available time, and its epochs from its speed. The candidates of a contender get short runs, and the best on the
validation split represents it. Then every contender is trained with each seed, and tested. Results are records in the
folder, and its README.md. The same command with the same --out resumes, also in the middle of a run. All parts together
have about 20 s per run, and the ablation does not finish; three calls, one for each --only, have more.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from small_data_plan import Candidate, Part, cpu_plan, full_plan, rehearsal, with_epochs
from small_data_table import write_tables

from modernet import progress
from modernet.benchmark.run import default_folder
from modernet.data import ImageDataset, InMemory, open_dataset
from modernet.data.dataset import Split
from modernet.files.atomic import whole_file
from modernet.machine.timing import time_in_turns
from modernet.processes import ALONE
from modernet.recipes import Execution
from modernet.records import RECORD_NAME, Record, read_record
from modernet.tasks import train_classifier
from modernet.tasks.classification import Classification
from modernet.training import Interrupted, RunContext
from modernet.training.placement.placement import Placement
from modernet.training.steps.optimizer import make_optimizer

_TRAINING_SHARE = 0.8
"""Share of the time after the measurement of speeds; the rest is for tests and variation."""


def run_part(part: Part, images: str, folder: Path, device: torch.device, until: float) -> None:
    """Run a part, as far as time allows.

    Raises:
        Interrupted: the time is over; the same call resumes.
    """
    dataset = subset(_opened(images), part)
    plan = _budget(part, dataset, folder, device, until)
    number = itertools.count()

    def run(contender: str, candidate: Candidate, phase: str, seed: int, seconds: float, where: Path) -> Record:
        if (where / RECORD_NAME).exists():
            return read_record(where / RECORD_NAME)
        speed = plan["images_per_second"][f"{contender}: {candidate.label}"]
        study = {
            "study": "small_data", "part": part.name, "contender": contender, "candidate": candidate.label,
            "phase": phase, "order": list(part.contenders).index(contender), "budget_seconds": seconds,
            "calibrated_images_per_second": speed,
        }  # fmt: skip
        timed = with_epochs(candidate, speed, seconds, len(dataset.train))
        progress.say(f"{part.name} {next(number)}: {contender}, {candidate.label}, {phase}, seed {seed}")
        record = train_classifier(
            timed.spec, dataset, timed.recipe, seed=seed, folder=where, device=device, study=study,
            should_stop=lambda: time.monotonic() > until,
        )  # fmt: skip
        for name in ("model.safetensors", "network.json", "metrics.jsonl"):
            (where / name).unlink(missing_ok=True)  # the record has the results
        return record

    chosen = {}
    for contender, candidates in part.contenders.items():
        chosen[contender] = candidates[0]
        if len(candidates) > 1:
            shorter = plan["seconds"] * part.tuning_share
            tried = [
                run(contender, candidate, "tuning", 100, shorter, folder / "tuning" / _slug(contender, candidate.label))
                for candidate in candidates
            ]
            best = max(range(len(tried)), key=lambda index: tried[index].metrics["validation_top1"])
            chosen[contender] = candidates[best]
    for seed, (contender, candidate) in itertools.product(range(part.seeds), chosen.items()):
        run(contender, candidate, "final", seed, plan["seconds"], folder / _slug(contender) / f"seed-{seed}")


@functools.cache
def _opened(images: str) -> ImageDataset:
    return open_dataset(images)


def subset(dataset: ImageDataset, part: Part) -> ImageDataset:
    """Return the subset of each split that the part uses, the same in every call."""

    def reduced(split: Split, n: int | None) -> Split:
        if n is None or n >= len(split):
            return split
        assert isinstance(split, InMemory), "small images fit into memory"
        indices = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:n].sort().values
        return InMemory(split.images[indices], split.targets.take(indices.numpy()))

    return replace(
        dataset,
        train=reduced(dataset.train, part.n_train),
        validation=reduced(dataset.validation, part.n_validation),
        test=reduced(dataset.test, part.n_test),
    )


def _budget(part: Part, dataset: ImageDataset, folder: Path, device: torch.device, until: float) -> dict[str, Any]:
    """Return the seconds of a run and the speed of every candidate, from an earlier call or measured now."""
    path = folder / "calibration.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    candidates_by_name = {
        f"{contender}: {candidate.label}": candidate
        for contender, candidates in part.contenders.items()
        for candidate in candidates
    }
    steps = {name: training_step(candidate, dataset, device) for name, candidate in candidates_by_name.items()}
    times = time_in_turns(steps, device, rounds=8, turn_s=part.turn_s, name=f"speeds of {part.name}")
    speeds = {  # of the fastest round, since other processes can only slow it down
        name: min(candidates_by_name[name].recipe.batch_size, len(dataset.train)) / min(seconds)
        for name, seconds in times.items()
    }
    tuned = sum(len(candidates) for candidates in part.contenders.values() if len(candidates) > 1)
    runs = part.seeds * len(part.contenders) + part.tuning_share * tuned
    seconds = part.seconds
    if seconds is None:
        seconds = max(part.least_seconds, (until - time.monotonic()) * _TRAINING_SHARE / runs)
    plan = {"seconds": seconds, "images_per_second": speeds}
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
    return plan


def training_step(candidate: Candidate, dataset: ImageDataset, device: torch.device) -> Callable[[], None]:
    """Return a training step like the loop's, including loading and augmentation."""
    recipe = candidate.recipe
    network = candidate.spec.build(len(dataset.classes), recipe.regularization.drop_path)
    task = Classification(network, candidate.spec, dataset, recipe, RunContext(device))
    placement = Placement(network, recipe, Execution(), device, ALONE)
    optimizer = make_optimizer(network, recipe)
    batches: Iterator[Any] = itertools.chain.from_iterable(map(task.batches.batches, itertools.count()))

    def step() -> None:
        loss, _ = task.loss(placement, next(batches))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return step


def _slug(*names: str) -> str:
    return "-".join(names).lower().replace(",", "").replace(" ", "-")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with cifar10/ and tiny_imagenet_50/")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--minutes", type=float, default=8.8, help="time limit for everything (8.8)")
    parser.add_argument("--only", choices=("cifar10", "tiny_imagenet_50", "ablation"), help="run one part only")
    parser.add_argument("--on-cpu", action="store_true", help="small networks on one core")
    parser.add_argument("--rehearse", action="store_true", help="run the same steps on a CPU, to see that they work")
    options = parser.parse_args(arguments)
    on_cpu = options.on_cpu or options.rehearse
    if not (on_cpu or torch.cuda.is_available()):
        parser.error("there is no CUDA device; --rehearse runs the same steps on a CPU")
    if options.data is None and not options.rehearse:
        parser.error("give --data, the folder with cifar10/ and tiny_imagenet_50/")
    device = torch.device("cpu" if on_cpu else "cuda:0")
    if on_cpu:
        torch.set_num_threads(1)
    else:
        torch.backends.cudnn.benchmark = True
    parts = [
        part
        for part in (rehearsal() if options.rehearse else cpu_plan() if options.on_cpu else full_plan())
        if options.only in (None, part.name)
    ]
    folder = options.out or default_folder(device)
    start = time.monotonic()
    with progress.shown():
        for number, part in enumerate(parts):
            left = start + 60 * options.minutes - time.monotonic()
            share = part.time_share / sum(later.time_share for later in parts[number:])
            images = part.data if options.rehearse else str(options.data / part.data)
            try:
                run_part(part, images, folder / part.name, device, time.monotonic() + share * left)
            except Interrupted:
                progress.say(f"{part.name}: the time is over; the same command with --out {folder} resumes")
            write_tables(folder)
    print((folder / "README.md").read_text(encoding="utf-8"))
    print(f"results are in {folder}")


if __name__ == "__main__":
    main()
