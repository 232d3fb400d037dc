"""The recipes of sequence models: for classification, and for the pre-training before it."""

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


@dataclass(frozen=True)
class SequencePretrainingRecipe(SequenceRecipe):
    """A recipe that trains a sequence model to predict steps of the training sequences (Amos et al. 2024)."""

    task: ClassVar[str] = "sequence_pretraining"

    masked_share: Annotated[float, Range(1e-3, 0.999)] = 0.15
    """Probability that a step is hidden, to be predicted from the others; a causal model predicts each next step
    instead."""
