"""What an arena was asked to train, and the rules that follow from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from modernet.catalogue import ARENA_TASKS
from modernet.errors import InputError, unknown_name
from modernet.files.fingerprint import json_sha256
from modernet.recipes import RECIPES, SequencePretrainingRecipe, SequenceRecipe, get_recipe, leaves
from modernet.report.notation import plural
from modernet.sequences.s4.config import StateSpaceConfig
from modernet.sequences.zoo import sequence_config

Size = Literal["nano", "published"]
Pretraining = Literal["masked", "next"]

DEFAULT_MODELS = ("transformer", "linear", "s4", "s4d_lin")
DEFAULT_TASKS = ("listops", "image", "pathfinder")

_DATA: Mapping[Size, Mapping[str, str]] = {
    "nano": {
        "listops": "listops-nano",
        "text": "text-nano",
        "retrieval": "retrieval-nano",
        "image": "image-nano",
        "pathfinder": "pathfinder32-nano",
        "pathx": "pathx-nano",
    },
    "published": {task: task for task in ARENA_TASKS} | {"pathfinder": "pathfinder32"},
}
"""What `open_sequences` opens."""
_RECIPE: Mapping[Size, str] = {"nano": "sequences_nano", "published": "sequences"}
_EPOCHS: Mapping[Size, Mapping[str, int]] = {
    "nano": {"listops": 2, "text": 1, "retrieval": 1, "image": 1, "pathfinder": 1, "pathx": 1},
    "published": {},
}
"""Of the default recipe, where a task has others: half a minute of one core for a run of nano."""
_STATE_SPACE_LR: Mapping[Size, float | None] = {"nano": 1e-2, "published": None}
"""Of the default recipe, for state-space models; None: as for the others. On validation of short ListOps, 1e-2 is their
best of 1e-3, 3e-3 and 1e-2, and 1e-3 as good as any for the attention models (docs/log.md)."""
_FIELDS: Mapping[Size, Mapping[str, Any]] = {"nano": {"depth": 2, "width": 64, "mlp_width": 128}, "published": {}}
"""Fields of every network."""
_MASKED = {"listops": 0.1, "text": 0.15, "retrieval": 0.15, "image": 0.5, "pathfinder": 0.5, "pathx": 0.5}
"""Share of the steps that masked pre-training hides: Amos et al. (arXiv 2310.02980), section 2."""


@dataclass(frozen=True)
class ArenaRequest:
    """Which cells of the table to train, and how.

    Attributes:
        models: names of sequence models.
        tasks: some of the Arena's, by name; `"NAME:FOLDER"` reads the published files from a folder.
        size: nano, short versions of the tasks and small networks; or published.
        seeds: runs of each cell, with seeds 0, 1, ...
        self_pretrain: also train each cell after a pre-training on the task's own training sequences, which predicts
            masked steps or each next step; `"next"` makes the network causal.
        recipe: name of a recipe, or of a family that has one for each task, such as `"lra"` or `"s4"`; None: the
            recipe of the size.
        epochs: of every run; None: those of the recipe.

    Raises:
        InputError: there is no such model, task or recipe, or a value is out of range.
    """

    models: tuple[str, ...] = DEFAULT_MODELS
    tasks: tuple[str, ...] = DEFAULT_TASKS
    size: Size = "nano"
    seeds: int = 3
    self_pretrain: Pretraining | None = None
    recipe: str | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InputError(f"seeds is {self.seeds}; give 1 or more")
        for model in self.models:
            sequence_config(model, **_FIELDS[self.size])
        for task in self.tasks:
            name, _, folder = task.partition(":")
            if name not in ARENA_TASKS:
                raise unknown_name("task of the arena", name, ARENA_TASKS)
            if folder and not Path(folder).is_dir():
                raise InputError(f"there is no folder {folder}; give the one with the published files of {name}")
            for model in self.models:
                self.recipe_of(name, model)
        for what, given in (("model", self.models), ("task", self.data())):
            if not given:
                raise InputError(f"there is no {what} to train; give one or more")

    def data(self) -> dict[str, str]:
        """Return the tasks by name, in the order of the table, with what `open_sequences` opens for them."""
        folders = {name: folder for name, _, folder in (task.partition(":") for task in self.tasks)}
        found = {}
        for name in ARENA_TASKS:
            if name in folders:
                spec = _DATA[self.size][name]
                found[name] = f"{spec}:{Path(folders[name]).resolve()}" if folders[name] else spec
        return found

    def summary(self) -> str:
        """Return how much it is: `4 models x 3 tasks x 3 seeds, size nano: 36 runs`."""
        counts = {"model": len(dict.fromkeys(self.models)), "task": len(self.data()), "seed": self.seeds}
        runs = math.prod(counts.values()) * (1 if self.self_pretrain is None else 3)
        more = "" if self.self_pretrain is None else ", alone, pre-trained, and trained from there"
        table = " x ".join(plural(count, noun) for noun, count in counts.items())
        return f"{table}{more}, size {self.size}: {plural(runs, 'run')}"

    def network_fields(self, pretraining: Pretraining | None) -> dict[str, Any]:
        """Return the fields of every network that differ from its defaults."""
        return {**_FIELDS[self.size], **({"causal": True} if pretraining == "next" else {})}

    def recipe_of(self, task: str, model: str) -> SequenceRecipe:
        """Return how a model is trained on a task.

        Raises:
            InputError: there is no such recipe, it is for something else, or the number of epochs is out of range.
        """
        name = self.recipe or _RECIPE[self.size]
        of_task = f"{name}_{task}"
        found = get_recipe(of_task if of_task in RECIPES else name)
        if type(found) is not SequenceRecipe:
            raise InputError(f"the recipe {found.name} is for {found.task}; give one for sequences: modernet recipes")
        epochs = self.epochs
        if epochs is None and self.recipe is None:
            epochs = _EPOCHS[self.size].get(task)
        lr = None if self.recipe is not None else _STATE_SPACE_LR[self.size]
        if lr is not None and isinstance(sequence_config(model), StateSpaceConfig):
            found = found.replace(lr=lr)
        return found if epochs is None else found.lasting(epochs)

    def pretraining_of(self, task: str, model: str) -> SequencePretrainingRecipe:
        """Return how a model is pre-trained on a task: as it is trained then, for as many epochs."""
        recipe = self.recipe_of(task, model)
        values = {part.name: getattr(recipe, part.name) for part in fields(recipe)}
        values["name"] = f"{values['name']}, pre-training"
        return SequencePretrainingRecipe(**values, masked_share=_MASKED[task])

    def rules(self) -> str:
        """Return a digest of how every task is trained, whichever were chosen."""
        recipes = {}
        for task, model in itertools.product(ARENA_TASKS, ("transformer", "s4")):  # one of each kind
            named = leaves(self.recipe_of(task, model))
            recipes[f"{task}, {model}"] = {
                name: value for name, value in named.items() if name not in ("name", "source")
            }
        return json_sha256([self.size, _FIELDS[self.size], recipes])[:12]
