"""Is `modernet advise` honest? Its decisions replayed on exhaustive runs, where the right answer is known.

    python benchmarks/advise_honesty.py --out DIR                          digit_scenes, a dozen candidates, 3 seeds
    python benchmarks/advise_honesty.py --out DIR --data digit_scenes FOLDER FOLDER --seeds 4
    python benchmarks/advise_honesty.py --out DIR --image-size 32 --minutes 30  stops after 30 minutes; again: resumes

First every candidate is trained with every seed, and then for the lengths of the rounds that `advise` would plan for a
quarter of that time; each training is kept. Then its decisions are made many times with those trainings instead of new
ones, drawn at random. What is right is told by the test split, which `advise` does not see. A table tells for each data
set how often the pick is within the winner's interval, what it would have cost, and how often a pick that was so and so
sure was the winner. Everything is in DIR: `replays.json` and `README.md`.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modernet import progress
from modernet.files.atomic import whole_file
from modernet.recipes import default_recipe, get_recipe
from modernet.records import RECORD_NAME, read_record
from modernet.report.advise.advice import Trial
from modernet.statistics import repeated_interval
from modernet.studies import Machines
from modernet.studies.advise import AdviseRequest
from modernet.studies.advise.halving import Cost, Entered, Plan, halve, plan_rounds, round_seconds
from modernet.studies.advise.pool import choose_pool
from modernet.studies.advise.sureness import judge
from modernet.studies.advise.trainings import RoundRun, read_trial, train
from modernet.studies.compare.candidates import Candidate
from modernet.studies.running.machines import Resources
from modernet.studies.running.runner import run_all
from modernet.tasks.images import open_request

_SHARE = 0.25
_REPLAYS = 100
_BUDGET_S = 300.0
"""The time for which `advise` would choose such small candidates."""
_JUDGED = ("best", "within", "behind")
_BINS = ((0.0, 0.5), (0.5, 0.75), (0.75, 1.01))


class Exhaustive:
    """All trainings of all candidates on one data set: with each seed, for each length."""

    def __init__(self, data: str, epochs: int | None, image_size: int | None, seeds: int, folder: Path) -> None:
        recipe = get_recipe(default_recipe(data))
        recipe = recipe if epochs is None else recipe.lasting(epochs)
        recipe = recipe if image_size is None else recipe.replace(image_size=image_size)
        self.request = AdviseRequest(data, recipe, budget_seconds=_BUDGET_S)
        self.folder, self.seeds = folder, seeds
        self.epochs = recipe.schedule.epochs
        machines = Machines()
        self.resources: Resources = machines.resources(folder, one_core=True)
        probe = Candidate("resnet18", "resnet18", {}, None, None, None).train_request(recipe, data, 0, False)
        dataset = open_request(probe, recipe, "classes").dataset  # type: ignore[arg-type]
        pool = choose_pool(
            self.request,
            image_size or dataset.image_size,
            len(dataset.classes),
            len(dataset.train),
            self.resources.concurrent_runs,
            self.resources.device.type != "cpu",
        )
        self.candidates = {each.label: each for each in pool.candidates}

    def _run(self, label: str, epochs: int, seed: int, until: float) -> RoundRun:
        candidate = self.candidates[label]
        where = self.folder / candidate.folder / f"epochs-{epochs}" / f"seed-{seed}"
        recipe = self.request.recipe.lasting(epochs)
        return RoundRun(candidate, self.request.data, False, recipe, 0, seed, where, epochs, until, self.resources)

    def train(self, until: float) -> bool:
        """Train what is left, until a time in seconds since 1970; return whether everything is there."""
        if not self._train(self.epochs, until):
            return False
        return all(self._train(each.epochs, until) for each in self.plan().rounds)

    def _train(self, epochs: int, until: float) -> bool:
        runs = [self._run(label, epochs, seed, until) for seed in range(self.seeds) for label in self.candidates]
        unfinished = [run for run in runs if read_trial(run.folder) is None]
        if unfinished and time.time() < until:
            for outcome in run_all(unfinished, train, workers=self.resources.workers, title=self.request.data):
                if outcome.error is not None:
                    progress.say(f"{outcome.job.candidate.label} failed: {outcome.error}")
                (outcome.job.folder / "model.safetensors").unlink(missing_ok=True)
        return all(read_trial(run.folder) is not None for run in runs)

    @property
    def seconds(self) -> float:
        """What all candidates take with all seeds."""
        return sum(self.seeds * cost.training(self.epochs) for cost in self.costs().values())

    def plan(self) -> Plan:
        """Return the rounds for a quarter of the time."""
        return plan_rounds(self.costs(), self.epochs, _SHARE * self.seconds)

    def trial(self, label: str, epochs: int, seed: int) -> Trial | None:
        """Return a training; None if it has not finished."""
        return read_trial(self._run(label, epochs, seed, 0.0).folder)

    def test(self, label: str) -> tuple[list[float], int]:
        """Return what a candidate's full trainings score on the test split, each in [0, 1], and its images."""
        records = [
            read_record(self._run(label, self.epochs, seed, 0.0).folder / RECORD_NAME) for seed in range(self.seeds)
        ]
        n = int(records[0].settings["data"]["n_test"])
        return [each.metrics["test_top1"] / 100 for each in records], n

    def costs(self) -> dict[str, Cost]:
        """Return what an epoch of each candidate that finished took."""
        found: dict[str, Cost] = {}
        for label in self.candidates:
            full = [self.trial(label, self.epochs, seed) for seed in range(self.seeds)]
            seconds = [each.seconds for each in full if each is not None]
            if len(seconds) == self.seeds:
                found[label] = Cost(statistics.median(seconds) / self.epochs)
        return found


@dataclass(frozen=True)
class Replay:
    """One advice, and how it turned out.

    Attributes:
        sure: how sure it was.
        best: whether its pick has the best mean score on the test split.
        within: whether that mean is within the winner's interval, or above.
        behind: points between the winner and the pick.
        share: of the time of training all candidates with all seeds.
    """

    sure: float
    best: bool
    within: bool
    behind: float
    share: float


def replay(exhaustive: Exhaustive, seed: int) -> Replay:
    """Return what an advice with a quarter of the time would have been, by trainings that a seed chooses."""
    costs, n = exhaustive.costs(), exhaustive.seeds
    tests = {name: exhaustive.test(name) for name in costs}
    means = {name: statistics.mean(scores) for name, (scores, _) in tests.items()}
    winner = max(means, key=lambda name: means[name])
    interval = repeated_interval(*tests[winner])
    chance = random.Random(seed)

    def look_up(index: int, entered: Entered) -> Mapping[str, Sequence[Trial]]:
        found: dict[str, list[Trial]] = {}
        for name in entered.names:
            chosen = chance.sample(range(n), min(entered.seeds, n))
            trials = [exhaustive.trial(name, entered.epochs, which) for which in chosen]
            found[name] = [replace(each, round=index) for each in trials if each is not None]
        return found

    rounds, trials = halve(exhaustive.plan(), costs, look_up)
    judged = judge(trials, seed=seed)
    assert judged.pick is not None, "every candidate with a cost was trained"
    spent = sum(round_seconds(costs, each, 1) for each in rounds)
    reached = means[judged.pick]
    return Replay(
        judged.sure,
        judged.pick == winner,
        reached >= interval.low,
        100 * (means[winner] - reached),
        spent / exhaustive.seconds,
    )


def table(found: Mapping[str, Sequence[Replay]]) -> str:
    """Return what the replays showed, as Markdown."""
    lines = [
        "| data | replays | within the winner's interval | is the winner | points behind it | mean sureness | share of "
        "the time |",
        "|---|---|---|---|---|---|---|",
    ]
    for data, rows in found.items():
        best, within, behind = (statistics.mean(getattr(row, name) for row in rows) for name in _JUDGED)
        sure, share = (statistics.mean(getattr(row, name) for row in rows) for name in ("sure", "share"))
        lines.append(f"| {data} | {len(rows)} | {within:.0%} | {best:.0%} | {behind:.1f} | {sure:.2f} | {share:.0%} |")
    lines += ["", "| sure | picks | mean sureness | is the winner |", "|---|---|---|---|"]
    every = [row for rows in found.values() for row in rows]
    for low, high in _BINS:
        rows = [row for row in every if low <= row.sure < high]
        if rows:
            sure, best = (statistics.mean(getattr(row, name) for row in rows) for name in ("sure", "best"))
            lines.append(f"| {low:.2f} to {min(high, 1.0):.2f} | {len(rows)} | {sure:.2f} | {best:.0%} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the trainings and the tables")
    parser.add_argument("--data", nargs="+", default=["digit_scenes"], help="data sets (digit_scenes)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each candidate and length (3)")
    parser.add_argument("--epochs", type=int, help="of a full training; by default those of the recipe")
    parser.add_argument("--image-size", type=int, help="side of the images in pixels; by default that of the data")
    parser.add_argument("--minutes", type=float, default=30.0, help="of training in this call (30)")
    options = parser.parse_args()
    until = time.time() + 60 * options.minutes
    found: dict[str, list[Replay]] = {}
    with progress.shown():
        for data in options.data:
            where = options.out / Path(data).resolve().name
            exhaustive = Exhaustive(data, options.epochs, options.image_size, options.seeds, where)
            if not exhaustive.train(until):
                progress.say(f"{data}: not everything is trained; the same command goes on")
            else:
                progress.say(f"{data}: {exhaustive.plan().words()}")
                found[Path(data).name] = [replay(exhaustive, seed) for seed in range(_REPLAYS)]
    stored = {data: [vars(row) for row in rows] for data, rows in found.items()}
    with whole_file(options.out / "replays.json") as unfinished:
        unfinished.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    text = table(found)
    with whole_file(options.out / "README.md") as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
