"""Advise which network to use: pool, evidence, successive halving, and how sure the answer is."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from modernet import progress
from modernet.errors import InputError, one_line
from modernet.files.atomic import check_writable
from modernet.machine.device import default_device, describe
from modernet.preparation import as_size
from modernet.recipes import leaves
from modernet.records import NETWORK_NAME, RECORD_NAME, Metric, read_record, read_records
from modernet.report import write_report
from modernet.report.advise.advice import Advice, Considered, Trial
from modernet.report.notation import plural
from modernet.studies.advise.allowance import Allowance
from modernet.studies.advise.evidence import Evidence, beyond_limits, measure_costs, with_probes
from modernet.studies.advise.halving import (
    MOST_SEEDS,
    Cost,
    Entered,
    Plan,
    enter,
    mean_score,
    plan_rounds,
    round_seconds,
    slowest_first,
)
from modernet.studies.advise.pool import choose_pool
from modernet.studies.advise.request import AdviseRequest
from modernet.studies.advise.state import PLAN_NAME, Spent, State, asked
from modernet.studies.advise.sureness import Judgement, judge
from modernet.studies.advise.trainings import OUT_OF_TIME, RoundRun, read_trial, train
from modernet.studies.compare.candidates import Candidate, parse_candidates, weights_file
from modernet.studies.compare.plan import Plan as Trainable
from modernet.studies.compare.plan import make_plan
from modernet.studies.compare.request import CompareRequest
from modernet.studies.compare.runs import settings_of
from modernet.studies.compare.speeds import training_speeds
from modernet.studies.running.machines import LOCAL, Machines
from modernet.studies.running.runner import run_all
from modernet.tasks import TrainRequest, get_task
from modernet.tasks.images import forget_images
from modernet.training import Interrupted, stop_requested_by_signal
from modernet.weights import starting_weights
from modernet.weights.saved_network import WEIGHTS_NAME

_PLANNED = 0.9
"""Share of the time left after the evidence that is planned; the rest is for what takes longer than measured."""
_START_S = 1.5
"""Seconds of a training that are no epochs: a process begins, a network is built, files are written."""
_FEWEST = 4
"""Default candidates that stay even if there is no time to train finalists in full."""


def advise(request: AdviseRequest, *, machines: Machines = LOCAL, folder: str | os.PathLike[str]) -> Advice:
    """Find out which network to use for some images, within a time.

    Many candidates are measured, some leave by the limits, the others are trained in rounds (`halving.py`), and the
    finalists are judged (`sureness.py`). When the time is over, running trainings are given up and what is known by
    then is the answer; after that come only the answers of a training that has just ended and the report, so that the
    budget is exceeded by a few seconds at most.

    The plan is stored once: the same call goes on where it stopped and decides alike. A training that fails, such as
    for lack of memory, is recorded and the others continue. The networks of the last round stay in the folder.

    Args:
        request: what to look for.
        machines: where to train, and how many runs at once.
        folder: gets `plan.json`, a folder for each candidate with its trainings, `record.json` and `report.html`.

    Raises:
        InputError: the request cannot be carried out, no candidate is within the limits, the budget is too short for
            one epoch of each, or the folder has another advice.
        Interrupted: Ctrl-C; the same call goes on.
    """
    where = Path(folder).resolve() if machines.cluster is not None else Path(folder)
    check_writable(where)
    if (where / RECORD_NAME).exists() and not (where / PLAN_NAME).exists():
        raise InputError(f"{where} contains another run; give another --out")
    state = State.read(where, request)
    if state is not None and (where / RECORD_NAME).exists():
        _check_images(state, _summary(request), where)
        progress.say(f"{where} contains this advice, finished: nothing is left to do")
        return Advice.from_record(read_record(where / RECORD_NAME))
    if request.candidates:
        parse_candidates(request.candidates, request.weights_dir)  # a mistake is reported before images are read
    spent = Spent(where, planned=state is not None)
    try:
        with progress.saying_once():  # images are opened several times
            return _Study(request, machines, where, spent).run(state)
    finally:
        spent.note()


class _Study:
    """One advice in the making."""

    def __init__(self, request: AdviseRequest, machines: Machines, folder: Path, spent: Spent) -> None:
        self.folder, self.spent, self.machines = folder, spent, machines
        self.metric: Metric = get_task(request.recipe.task).metrics[0]
        self.asked, self.data = asked(request), _summary(request)
        size = self.data["image_size"]
        if isinstance(size, int) and leaves(request.recipe).get("image_size", 0) is None:
            request = replace(request, recipe=request.recipe.replace(image_size=size))  # the same for all
        self.request = request
        self._made: Trainable | None = None

    def run(self, state: State | None) -> Advice:
        """Do all that is left to do, and report."""
        if state is None:
            state = self._decide()
            state.write(self.folder)
        _check_images(state, self.data, self.folder)
        trainable = self._trainable(state.labels)
        candidates = {each.label: each for each in trainable.candidates}
        minutes = state.plan.expected_s / 60
        progress.say(f"{state.plan.words()}, about {minutes:.0f} min after {self.spent.seconds / 60:.1f} min")
        trials: dict[str, list[Trial]] = {name: [] for name in state.costs}
        for index in range(len(state.plan.rounds)):
            if index == len(state.entered):
                state.entered.append(self._enter(state, index, trials))
                state.write(self.folder)
            for name, found in self._train(state, index, candidates, trainable).items():
                trials[name] += found
            self.spent.note()
        while self._has_time_for_a_seed(state, trials):
            state.entered[-1] = replace(state.entered[-1], seeds=state.entered[-1].seeds + 1)
            state.write(self.folder)
            progress.say(f"there is time for another seed of {plural(len(state.entered[-1].names), 'finalist')}")
            for name, found in self._train(state, len(state.entered) - 1, candidates, trainable).items():
                trials[name] = [each for each in trials[name] if each.round < len(state.entered) - 1] + found
            self.spent.note()
        judgement = judge(trials, higher_is_better=self.metric.higher_is_better, seed=self.request.seed)
        advice = self._advice(state, trials, judgement, trainable)
        device = describe(trainable.resources.device, torch.get_num_threads())
        advice.to_record(self.metric, device).write(self.folder / RECORD_NAME)
        write_report(read_records(self.folder), self.folder)
        return advice

    def _trainable(self, labels: Sequence[str]) -> Trainable:
        """Open the data and the candidates, once in a call."""
        if self._made is None:
            compared = CompareRequest(
                tuple(labels),
                self.request.data,
                self.request.recipe,
                weights_dir=_used_folder(labels, self.request),
                robustness=False,
                skip_unreadable=self.request.skip_unreadable,
            )
            self._made = make_plan(compared, self.machines, self.folder)
        return self._made

    def _decide(self) -> State:
        """Choose and measure the candidates, and plan the rounds."""
        request, data = self.request, self.data
        workers = self.machines.resources(self.folder, one_core=True).concurrent_runs
        device = self.machines.device or default_device()
        pool = choose_pool(request, data["image_size"], data["classes"], data["n_train"], workers, device.type != "cpu")
        unfetched = _fetch(pool.candidates)
        labels = [each.label for each in pool.candidates if each.label not in unfetched]
        if not labels:
            raise InputError(f"no weights could be fetched ({next(iter(unfetched.values()))}); try again later")
        trainable = self._trainable(labels)
        left = dict(trainable.failed)
        with stop_requested_by_signal() as asked_to_stop:
            allowance = Allowance(len(labels), request.budget_seconds, lambda: self.spent.seconds, asked_to_stop)
            try:
                evidence, speeds = self._measure(trainable, device, allowance, left)
            except Interrupted:
                if asked_to_stop():
                    raise
                raise allowance.too_short() from None
        if not speeds:
            raise InputError(
                f"no candidate can be trained; {'; '.join(f'{k}: {v}' for k, v in list(left.items())[:1])}"
            )
        at_once = trainable.resources.concurrent_runs
        costs = {name: _cost(speed, evidence[name], data, at_once) for name, speed in speeds.items()}
        seconds = _PLANNED * max(request.budget_seconds - self.spent.seconds, 0.0)
        costs, plan, dropped = _affordable(costs, evidence, request, seconds, at_once)
        not_tried, left = {**pool.not_tried, **unfetched}, {**left, **dropped}
        return State(self.asked, data["fingerprint"], labels, not_tried, evidence, left, costs, plan)

    def _measure(
        self, trainable: Trainable, device: torch.device, allowance: Allowance, left: dict[str, str]
    ) -> tuple[dict[str, Evidence], dict[str, float]]:
        """Return the evidence, and how many images a second the candidates are trained on; add to those that left.

        Raises:
            Interrupted: by request, or since the time is over.
        """
        request, data, size = self.request, self.data, self.data["image_size"]
        evidence = measure_costs(trainable.trainable, size, data["classes"], device, self.folder, allowance)
        left |= {name: found.error for name, found in evidence.items() if found.error is not None}
        left |= beyond_limits(evidence, request)
        alive = [each for each in trainable.trainable if each.label not in left]
        if request.recipe.task == "classification":
            n_images = data["n_train"] + data["n_validation"]
            evidence = with_probes(alive, evidence, request, size, device, n_images, self.folder, allowance)
        speeds, failed = training_speeds(
            alive,
            trainable.request,
            data["n_train"],
            trainable.resources,
            self.folder,
            allowance.stop,
            allowance.hurry,
        )
        left |= failed
        return evidence, speeds

    def _has_time_for_a_seed(self, state: State, trials: Mapping[str, Sequence[Trial]]) -> bool:
        """Return whether the finalists can be trained once more: their trainings may have been shorter than planned."""
        last, index = state.entered[-1], len(state.entered) - 1
        found = [(name, each) for name in last.names for each in trials[name] if each.round == index]
        if len(last.names) < 2 or not found or last.seeds == MOST_SEEDS or any(each.error for _, each in found):
            return False
        planned = sum(state.costs[name].training(last.epochs) for name, _ in found)
        needed = round_seconds(state.costs, replace(last, seeds=1), state.plan.workers)
        pace = max(0.5, sum(each.seconds for _, each in found) / planned)
        return needed * pace <= _PLANNED * (self.request.budget_seconds - self.spent.seconds)

    def _enter(self, state: State, index: int, trials: Mapping[str, Sequence[Trial]]) -> Entered:
        """Decide who takes part in a round, with less room if trainings take longer than planned."""
        plan, costs = state.plan, state.costs
        used = sum(round_seconds(costs, each, plan.workers) for each in state.entered)
        done = [(each.seconds, costs[name].training(each.epochs)) for name, found in trials.items() for each in found]
        planned = sum(expected for seconds, expected in done if seconds > 0)
        pace = max(1.0, sum(seconds for seconds, _ in done) / planned) if planned else 1.0
        room = min(plan.seconds - used, (self.request.budget_seconds - self.spent.seconds) / pace)
        return enter(plan, index, costs, trials, room, higher_is_better=self.metric.higher_is_better)

    def _train(
        self, state: State, index: int, candidates: Mapping[str, Candidate], trainable: Trainable
    ) -> dict[str, list[Trial]]:
        """Train a round, and return its trainings by candidate."""
        entered = state.entered[index]
        until = time.time() + self.request.budget_seconds - self.spent.seconds
        runs = [
            RoundRun(
                candidates[name],
                trainable.request.data,
                self.request.skip_unreadable,
                self.request.recipe.lasting(entered.epochs),
                index,
                100 * self.request.seed + seed,
                _folder(self.folder, candidates[name], index, 100 * self.request.seed + seed),
                state.costs[name].training(entered.epochs),
                until,
                trainable.resources,
            )
            for seed in range(entered.seeds)
            for name in slowest_first(state.costs, entered)
        ]
        found = {run.folder: read_trial(run.folder) for run in runs}
        resources = trainable.resources
        title = f"round {index + 1} of {len(state.plan.rounds)}"
        unfinished = [run for run in runs if found[run.folder] is None]
        for outcome in run_all(unfinished, train, workers=resources.workers, title=title, cluster=resources.cluster):
            run = outcome.job
            found[run.folder] = outcome.result or run.failed(str(outcome.error))
            if outcome.error is not None:
                progress.say(f"{run.candidate.label} failed: {outcome.error}")
            self.spent.note()
        trials: dict[str, list[Trial]] = {name: [] for name in entered.names}
        for run in runs:
            trial = found[run.folder]
            assert trial is not None, "every run has an outcome"
            trials[run.candidate.label].append(trial)
        return trials

    def _advice(
        self, state: State, trials: Mapping[str, Sequence[Trial]], judgement: Judgement, trainable: Trainable
    ) -> Advice:
        finished = [each for found in trials.values() for each in found if each.score is not None]
        last = max((each.round for each in finished), default=0)
        everyone = {each.label: each for each in trainable.candidates}
        considered = [
            replace(
                self._considered(everyone[label], state, trials.get(label, ()), last, trainable),
                chance=judgement.chances.get(label),
            )
            for label in state.labels
        ]
        for each in considered:
            for trial in each.trials:
                if trial.round < last:  # only the networks of the last round are of use
                    where = _folder(self.folder, everyone[each.name], trial.round, trial.seed)
                    for name in (WEIGHTS_NAME, NETWORK_NAME):
                        (where / name).unlink(missing_ok=True)
        sign = -1 if self.metric.higher_is_better else 1

        def place(each: Considered) -> tuple[bool, float, float]:
            rounds = [trial.round for trial in each.trials if trial.score is not None]
            score = mean_score(each.trials, max(rounds)) if rounds else None
            left = float("inf") if each.left_at is None else each.left_at
            return each.name != judgement.pick, -left, float("inf") if score is None else sign * score

        request = self.request
        limits = {
            "max_latency_ms": request.max_latency_ms,
            "max_memory_mb": request.max_memory_mb,
            "licence": None if request.licence == "any" else request.licence,
        }
        return Advice(
            judgement.pick,
            judgement.sure,
            judgement.level,
            request.recipe.task,
            self.data,
            request.recipe.name,
            request.seed,
            {name: value for name, value in limits.items() if value is not None},
            request.budget_seconds,
            self.spent.seconds,
            tuple(sorted(considered, key=place)),
            state.not_tried,
            request.recipe.schedule.epochs,
        )

    def _considered(
        self, candidate: Candidate, state: State, trials: Sequence[Trial], last: int, trainable: Trainable
    ) -> Considered:
        label = candidate.label
        evidence, settings = state.evidence.get(label, Evidence()), trainable.settings.get(label, {})
        scored = [each for each in trials if each.score is not None]
        finalist = any(each.round == last for each in scored)
        left_at, why, test = None, "", None
        if finalist:
            final = max(each.seed for each in scored if each.round == last)
            record = read_record(_folder(self.folder, candidate, last, final) / RECORD_NAME)
            test = record.score("test", self.metric)
        elif not trials:
            left_at, why = 0, state.left.get(label, "there was no time for it")
        else:
            failed = next((each for each in reversed(trials) if each.error is not None), None)
            left_at = trials[-1].round + (failed is None or failed.error != OUT_OF_TIME)
            why = str(failed.error) if failed is not None else self._given_up(state, trials, scored)
        return Considered(
            label,
            candidate.starts_from,
            candidate.licence,
            settings.get("params"),
            settings.get("macs"),
            evidence.latency_ms,
            evidence.memory_mb,
            evidence.images_per_second,
            evidence.probes,
            tuple(trials),
            left_at,
            why,
            test,
        )

    def _given_up(self, state: State, trials: Sequence[Trial], scored: Sequence[Trial]) -> str:
        last = scored[-1]
        score = mean_score(trials, last.round)
        digits, unit = self.metric.digits_for(last.n), self.metric.unit
        others = state.entered[last.round + 1].names if last.round + 1 < len(state.entered) else ()
        value = f"{self.metric.title} {score:.{digits}f} {unit}".rstrip()
        return f"{value} after {plural(last.epochs, 'epoch')}; {plural(len(others), 'other')} went on"


def _folder(folder: Path, candidate: Candidate, index: int, seed: int) -> Path:
    return folder / candidate.folder / f"round-{index}" / f"seed-{seed}"


def network_folder(folder: Path, advice: Advice) -> Path | None:
    """Return the folder of a trained network of the pick, as `modernet predict` takes it; None without a pick."""
    picked = next((each for each in advice.considered if each.name == advice.pick), None)
    if picked is None:
        return None
    final = max((each for each in picked.trials if each.score is not None), key=lambda each: (each.round, each.seed))
    (candidate,) = parse_candidates([picked.name])
    return _folder(folder, candidate, final.round, final.seed)


def _check_images(state: State, data: Mapping[str, Any], folder: Path) -> None:
    """Check that an advice is for the images that the data has now.

    Raises:
        InputError: it is not.
    """
    if state.images != data["fingerprint"]:
        raise InputError(
            f"{folder} has an advice for other images than those of {data['name']} now; give another --out, or remove "
            "that folder"
        )


def _fetch(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Fetch the published weights of candidates, and return those that could not be fetched, and why."""
    failed: dict[str, str] = {}
    for each in candidates:
        if each.starts_from is not None and each.weights is None:
            try:
                starting_weights(each.model)
            except InputError as error:
                failed[each.label] = one_line(error)
                progress.say(f"{each.label} is not tried: {failed[each.label]}")
    return failed


def _used_folder(labels: Sequence[str], request: AdviseRequest) -> Path | None:
    """Return the folder of weights, if one of the candidates has a file in it."""
    folder = request.weights_dir
    if folder is None or not any(weights_file(each.model, folder) for each in parse_candidates(labels)):
        return None
    return folder


def _summary(request: AdviseRequest) -> dict[str, Any]:
    """Return what the record of a run says of the data."""
    forget_images()
    probe = TrainRequest(request.recipe, "resnet18", {}, None, request.data, 0, request.skip_unreadable, True)
    data: dict[str, Any] = settings_of(get_task(request.recipe.task).prepare(probe))["data"]
    size = data["image_size"]
    return {**data, "image_size": size if isinstance(size, int) else as_size(tuple(size))}


def _cost(speed: float, evidence: Evidence, data: Mapping[str, Any], at_once: int) -> Cost:
    """Return what trainings of a candidate take.

    Args:
        speed: images a second in training, with as many trainings at once.
    """
    answers = max((evidence.images_per_second or speed) / at_once, speed)  # images a second without gradients
    validation = data["n_validation"] / answers
    return Cost(data["n_train"] / speed + validation, _START_S + validation + data["n_test"] / answers)


def _affordable(
    costs: Mapping[str, Cost], evidence: Mapping[str, Evidence], request: AdviseRequest, seconds: float, workers: int
) -> tuple[dict[str, Cost], Plan, dict[str, str]]:
    """Plan the rounds; without default candidates that leave no time to train finalists in full, the slowest first, or
    those whose features are worth least.
    """
    left, dropped = dict(costs), dict[str, str]()
    epochs = request.recipe.schedule.epochs
    while True:
        try:
            plan = plan_rounds(left, epochs, seconds, workers)
        except InputError:
            if request.candidates or len(left) <= 2:
                raise
            plan = None
        enough = plan is not None and plan.rounds[-1].epochs == epochs
        if plan is not None and (enough or request.candidates or len(left) <= _FEWEST):
            return left, plan, dropped
        if all("linear" in evidence[name].probes for name in left):
            worst = min(left, key=lambda name: evidence[name].probes["linear"])
            why = f"a linear probe of its features has {evidence[worst].probes['linear']:.1f} % on validation"
        else:
            worst = max(left, key=lambda name: left[name].training(epochs))
            why = f"a training takes {left[worst].training(epochs):.0f} s"
        dropped[worst] = f"{why}, and there is no time to train all candidates"
        del left[worst]
