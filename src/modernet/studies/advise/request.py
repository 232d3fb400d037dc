"""What advice was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modernet.catalogue.fields import check_distinct
from modernet.errors import InputError
from modernet.recipes import Recipe


@dataclass(frozen=True)
class AdviseRequest:
    """Which network to look for, for which data, within which limits.

    Attributes:
        data: as `open_dataset` takes it.
        recipe: of the trainings; its epochs are those of the final one.
        candidates: names as `CompareRequest` takes them; empty: a dozen of different families that suit the size of the
            images and the budget.
        budget_seconds: time for everything.
        max_latency_ms: of one image, here; None: no limit.
        max_memory_mb: peak memory of one image, here; None: no limit.
        licence: of weights to start from: `any`, `permissive`, or one such as `apache-2.0`.
        weights_dir: as in `CompareRequest`.
        download: start from published weights where a candidate has any, fetched when needed.
        seed: of everything.
        skip_unreadable: skip images that cannot be read, and list them.

    Raises:
        InputError: a number is out of range, or a candidate is given twice.
    """

    data: str
    recipe: Recipe
    candidates: tuple[str, ...] = ()
    budget_seconds: float = 1800.0
    max_latency_ms: float | None = None
    max_memory_mb: float | None = None
    licence: str = "any"
    weights_dir: Path | None = None
    download: bool = False
    seed: int = 0
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        if self.budget_seconds <= 0:
            raise InputError(f"the budget is {self.budget_seconds:g} s; give a positive time, such as 30min")
        for what, value in (("max_latency_ms", self.max_latency_ms), ("max_memory_mb", self.max_memory_mb)):
            if value is not None and value <= 0:
                raise InputError(f"{what} is {value:g}; give a positive number, or leave it out")
        check_distinct(self.candidates)
