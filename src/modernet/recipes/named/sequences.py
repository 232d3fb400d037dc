"""Recipes for sequences: ours, the same for every model."""

from __future__ import annotations

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.named.catalogue import NamedRecipe, register_recipe
from modernet.recipes.sequences import SequenceRecipe

_OURS = Optimizer(lr=1e-3, dynamics_lr=1e-3, weight_decay=0.05, clip_grad=1.0)

register_recipe(
    NamedRecipe(
        SequenceRecipe(
            name="sequences",
            source="ours: one budget for all models, so that their results compare",
            batch_size=64,
            optimizer=_OURS,
            schedule=Schedule(epochs=20, warmup_epochs=1.0, min_lr=0.0),
        ),
        purpose="classes of text, pixels or sound, by any sequence model",
        command="modernet train --recipe sequences --data listops --model transformer",
    )
)

register_recipe(
    NamedRecipe(
        SequenceRecipe(
            name="sequences_nano",
            source="ours: as `sequences`, for the short tasks and one or two cores",
            batch_size=32,
            optimizer=_OURS,
            schedule=Schedule(epochs=10, warmup_epochs=1.0, min_lr=0.0),
        ),
        purpose="sequence models on short tasks within minutes",
        command="modernet train --recipe sequences_nano --data listops-nano --model transformer",
    )
)
