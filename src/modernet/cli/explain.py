"""Explain every value of a training run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modernet.cli.output import plain, simple_table
from modernet.recipes import RECIPES, Execution, Recipe, leaves, rate_factor

if TYPE_CHECKING:
    from rich.table import Table

_RATES = ("lr", "warmup_lr", "min_lr")
_COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Explained:
    """A value of a run."""

    name: str
    value: Any
    """As the run uses it: learning rates scaled to its batch."""
    origin: str
    """Where it comes from, for people."""
    stated: float | None = None
    """A learning rate before scaling."""


def explain(
    arguments: Sequence[str], run: Mapping[str, Any], recipe: Recipe, execution: Execution, world: int = 1
) -> list[Explained]:
    """Explain every value of a run.

    Args:
        arguments: the options as typed.
        run: values outside recipe and execution, with `recipe`, `model` and `weights` among them.
        recipe: the recipe named `run["recipe"]` with the options applied.
        execution: the execution with the options applied.
        world: processes that share the batch.

    Raises:
        InputError: the batch cannot be divided as `execution` asks.
    """
    typed = _typed(arguments)
    count = execution.micro_batches(recipe.batch_size, world)
    origins = {"recipe": "default of the weights" if _is_pretrained(run) else "default of the data"}
    found = [
        Explained(name, value, _COMMAND_LINE if name in typed else origins.get(name, "default"))
        for name, value in run.items()
    ]
    found += _of_recipe(typed, run, recipe)
    for name, value in vars(execution).items():
        origin = _COMMAND_LINE if name in typed else "default"
        if name == "device_batch":
            origin += f"; {count} micro-batch{'es' if count > 1 else ''} per step"
        found.append(Explained(name, value, origin))
    return found


def _of_recipe(typed: set[str], run: Mapping[str, Any], recipe: Recipe) -> Iterable[Explained]:
    architecture = run["model"].partition(".")[0]
    named = RECIPES[run["recipe"]]
    of_model = named.models.get(architecture, {})
    factor = rate_factor(recipe)
    for name, value in leaves(recipe).items():
        if name in ("name", "source"):
            continue
        if name in typed:
            origin = _COMMAND_LINE
        elif name == "warmup_epochs" and "epochs" in typed:
            origin = "the recipe's share of the epochs"
        elif name == "image_size" and value is None:
            origin = "weights" if _is_pretrained(run) else "data"
        else:
            origin = f"recipe, for {architecture}" if name in of_model else "recipe"
        if name in _RATES and value and factor != 1:
            ratio = f"{recipe.batch_size}/{recipe.optimizer.lr_batch}"
            rule = f"{ratio}, linear" if recipe.optimizer.lr_scaling == "linear" else f"sqrt({ratio})"
            yield Explained(name, factor * value, f"{plain(value)} x {rule}; {origin}", stated=value)
        else:
            yield Explained(name, value, origin)


def _is_pretrained(run: Mapping[str, Any]) -> bool:
    return "." in run["model"] or run["weights"] is not None


def as_json(values: Iterable[Explained]) -> dict[str, dict[str, Any]]:
    """Name -> `value`, `from`, and `stated` for a scaled learning rate."""
    return {
        each.name: {"value": each.value, "from": each.origin} | ({} if each.stated is None else {"stated": each.stated})
        for each in values
    }


def as_table(recipe: str, values: Iterable[Explained]) -> Table:
    """Return the values as a table."""
    rows = [[each.name, plain(each.value), each.origin] for each in values]
    title = f"{recipe}: {RECIPES[recipe].recipe.source}"
    return simple_table(title, {"field": False, "value": False, "from": False}, rows)


def _typed(arguments: Sequence[str]) -> set[str]:
    """Return the names of the options among the arguments, without the `no_` of switches."""
    words = (word.partition("=")[0] for word in arguments if word.startswith("--"))
    return {word.removeprefix("--").replace("-", "_").removeprefix("no_") for word in words}
