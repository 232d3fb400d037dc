"""Explain every value of a training run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modernet.cli.options import architecture, is_pretrained
from modernet.cli.output import plain, simple_table
from modernet.recipes import Execution, Recipe, default_recipe, get_named, get_recipe, leaves, rate_factor

if TYPE_CHECKING:
    from rich.table import Table

_RATES = ("lr", "dynamics_lr", "warmup_lr", "min_lr")
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
    run: Mapping[str, Any], defaults: Mapping[str, Any], recipe: Recipe, execution: Execution, world: int = 1
) -> list[Explained]:
    """Explain every value of a run. A value that equals its default comes from there, even if it was typed.

    Args:
        run: values outside recipe and execution; `recipe`, `data`, `model` and `weights` among them.
        defaults: of the same values, except for the recipe.
        recipe: the recipe named `run["recipe"]` with the options applied.
        execution: the execution with the options applied.
        world: processes that share the batch.

    Raises:
        InputError: the batch cannot be divided as `execution` asks.
    """
    count = execution.micro_batches(recipe.batch_size, world)
    defaults = {**defaults, "recipe": default_recipe(run["data"], is_pretrained(run["model"], run["weights"]))}
    origins = {
        "recipe": "default of the weights" if is_pretrained(run["model"], run["weights"]) else "default of the data"
    }
    found = [
        Explained(name, value, origins.get(name, "default") if value == defaults[name] else _COMMAND_LINE)
        for name, value in run.items()
    ]
    found += _of_recipe(run, recipe)
    for name, value in vars(execution).items():
        origin = "default" if value == getattr(Execution(), name) else _COMMAND_LINE
        if name == "device_batch":
            origin += f"; {count} micro-batch{'es' if count > 1 else ''} per step"
        found.append(Explained(name, value, origin))
    return found


def _of_recipe(run: Mapping[str, Any], recipe: Recipe) -> Iterable[Explained]:
    network = architecture(run["model"])
    of_model = get_named(run["recipe"]).models.get(network, {})
    named = get_recipe(run["recipe"], model=network)
    published, scaled = leaves(named), leaves(named.lasting(recipe.schedule.epochs))
    factor = rate_factor(recipe)
    for name, value in leaves(recipe).items():
        if name in ("name", "source"):
            continue
        if value != (published if name == "epochs" else scaled)[name]:
            origin = _COMMAND_LINE
        elif value != published[name]:
            origin = "the recipe's share of the epochs"
        elif name == "image_size" and value is None:
            origin = "weights" if is_pretrained(run["model"], run["weights"]) else "data"
        else:
            origin = f"recipe, for {network}" if name in of_model else "recipe"
        if name in _RATES and value and factor != 1:
            ratio = f"{recipe.batch_size}/{recipe.optimizer.lr_batch}"
            rule = f"{ratio}, linear" if recipe.optimizer.lr_scaling == "linear" else f"sqrt({ratio})"
            yield Explained(name, factor * value, f"{plain(value)} x {rule}; {origin}", stated=value)
        else:
            yield Explained(name, value, origin)


def as_json(values: Iterable[Explained]) -> dict[str, dict[str, Any]]:
    """Name -> `value`, `from`, and `stated` for a scaled learning rate."""
    return {
        each.name: {"value": each.value, "from": each.origin} | ({} if each.stated is None else {"stated": each.stated})
        for each in values
    }


def as_table(recipe: str, values: Iterable[Explained]) -> Table:
    """Return the values as a table."""
    rows = [[each.name, plain(each.value), each.origin] for each in values]
    title = f"{recipe}: {get_named(recipe).recipe.source}"
    return simple_table(title, {"field": False, "value": False, "from": False}, rows)
