"""The recipe of a classifier of sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from modernet.recipes.base import Range, Recipe


@dataclass(frozen=True)
class SequenceRecipe(Recipe):
    """A recipe that trains a classifier of sequences."""

    task: ClassVar[str] = "sequences"

    dropout: Annotated[float | None, Range(0, 0.999)] = None
    """Dropout within the network; None: the model's own."""
    attention_dropout: Annotated[float | None, Range(0, 0.999)] = None
    """Dropout of the weights of attention, where the model has any; None: the model's own."""
