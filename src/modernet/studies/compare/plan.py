"""What a comparison is going to train, found out before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modernet import progress
from modernet.errors import InputError, one_line
from modernet.files.fingerprint import json_sha256
from modernet.recipes import Recipe, leaves
from modernet.studies.compare.budgets import Share
from modernet.studies.compare.candidates import Candidate, parse_candidates
from modernet.studies.compare.request import CompareRequest
from modernet.studies.compare.runs import TrainingRun, prepare, settings_of
from modernet.studies.compare.tuning import TUNING_SEED
from modernet.studies.running.machines import Machines, Resources
from modernet.studies.running.processes import prepare_workers
from modernet.studies.runs import absolute_data
from modernet.tasks.images import forget_images

_CHANGED = ("epochs", "warmup_epochs", "lr", "weight_decay")
"""Leaves of the recipe in which runs of a comparison differ: by the budget and by tuning."""
_TASKS = ("classification", "detection", "segmentation")
_ONE_CORE_MACS = 1_000_000_000
"""Up to so many multiply-accumulates for an image, runs with one core each are done sooner than the same runs one after
the other with all cores, whose threads wait for each other. Above it, the memory of several runs counts."""


@dataclass(frozen=True)
class Plan:
    """What a comparison is going to train.

    Attributes:
        request: what was asked for.
        candidates: in the order of the command.
        settings: label -> the settings of its records; without candidates that cannot be trained.
        failed: label -> why a candidate cannot be trained.
        fingerprints: of the images, as the networks of the folder see them; the first one stands for all.
        resources: what the runs may use.
        folder: of the comparison.
    """

    request: CompareRequest
    candidates: tuple[Candidate, ...]
    settings: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str]
    fingerprints: tuple[str, ...]
    resources: Resources
    folder: Path

    @property
    def trainable(self) -> list[Candidate]:
        """The candidates that can be trained."""
        return [each for each in self.candidates if each.label in self.settings]

    @property
    def digest(self) -> str:
        """Of what all candidates have in common: data, task, recipe, budget, tuning."""
        request = self.request
        recipe = {name: value for name, value in leaves(request.recipe).items() if name not in ("name", "source")}
        shared = [self.fingerprints[0], request.recipe.task, recipe, request.budget]
        return json_sha256([*shared, request.tune])[:12]

    def final_runs(self, candidate: Candidate, share: Share, setting: Mapping[str, float]) -> list[TrainingRun]:
        """Return the final trainings of a candidate, one for each seed.

        Args:
            setting: what tuning chose, as recipe field -> value.
        """
        recipe = self.request.recipe.lasting(share.epochs).replace(**setting)
        return [
            self._run(candidate, recipe, seed, self.folder / candidate.folder / f"seed-{seed}", "final")
            for seed in range(self.request.seeds)
        ]

    def tuning_run(self, candidate: Candidate, share: Share, setting: Mapping[str, float], trial: int) -> TrainingRun:
        """Return the training that tries a setting."""
        recipe = self.request.recipe.lasting(share.tuning_epochs).replace(**setting)
        folder = self.folder / "tuning" / candidate.folder / f"trial-{trial}"
        return self._run(candidate, recipe, TUNING_SEED, folder, "tuning")

    def _run(self, candidate: Candidate, recipe: Recipe, seed: int, folder: Path, phase: str) -> TrainingRun:
        settings = self.settings[candidate.label]
        place = {"study": "compare", "comparison": self.digest, "candidate": candidate.label, "phase": phase}
        changed = {name: value for name, value in leaves(recipe).items() if name in _CHANGED}
        own = {**settings, **place, "recipe": {**settings["recipe"], **changed}, "seed": seed}
        return TrainingRun(candidate, self.request, recipe, seed, folder, place, own, self.resources)


def make_plan(request: CompareRequest, machines: Machines, folder: Path, known: Sequence[str] = ()) -> Plan:
    """Open the data, and find out what each candidate is on them.

    Args:
        known: fingerprints of an earlier call in this folder.

    Raises:
        InputError: the recipe is not for images, a name, weights or the data cannot be used, or no candidate takes
            these images.
    """
    if request.recipe.task not in _TASKS:
        raise InputError(
            f"the recipe {request.recipe.name} is for {request.recipe.task}, and networks are compared in "
            f"{', '.join(_TASKS[:-1])} or {_TASKS[-1]}; give another --recipe"
        )
    if machines.cluster is not None:  # a worker of the cluster has a working directory of its own
        weights = request.weights_dir and request.weights_dir.resolve()
        folder = folder.resolve()
        request = replace(request, data=absolute_data(request.data), weights_dir=weights)
    candidates = tuple(parse_candidates(request.candidates, request.weights_dir))
    forget_images()
    if machines.resources(folder, one_core=True).concurrent_runs > 1:
        prepare_workers()  # which import while data are opened here
    settings: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    with progress.saying_once():
        for candidate in progress.track(candidates, "opening data and networks", len(candidates)):
            training = prepare(candidate, request, request.recipe, 0)  # a mistake in data or weights ends the study
            try:
                settings[candidate.label] = settings_of(training)
            except Exception as error:  # the network does not take these images
                failed[candidate.label] = one_line(error, with_type=not isinstance(error, InputError))
                progress.say(f"{candidate.label} cannot be trained: {failed[candidate.label]}")
    if not settings:
        label, why = next(iter(failed.items()))
        raise InputError(f"none of the networks can be trained; {label}: {why}")
    one_core = all(each["macs"] <= _ONE_CORE_MACS for each in settings.values())
    resources = machines.resources(folder, one_core=one_core)
    if machines.workers is None:  # the others would have nothing to do, and these more threads
        resources = replace(resources, workers=min(resources.workers, len(settings) * request.seeds))
    fingerprints = _of_same_images(known, [each["data"]["fingerprint"] for each in settings.values()])
    return Plan(request, candidates, settings, failed, fingerprints, resources, folder)


def _of_same_images(known: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """Return the fingerprints of the same images, which differ by how a network has its images prepared.

    Args:
        known: those of earlier candidates. Unless one of them is seen again, these may have been other images.
        own: those of the candidates of now.
    """
    return tuple(dict.fromkeys([*known, *own] if set(known) & set(own) else own))
