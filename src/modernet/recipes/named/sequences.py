"""Recipes for sequences: ours, the same for every model, and those of self-pretraining."""

from __future__ import annotations

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.named.catalogue import NamedRecipe, register_recipe
from modernet.recipes.sequences import SequencePretrainingRecipe, SequenceRecipe

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

_AMOS = "Amos et al. 2024 (arXiv 2310.02980), section 2 and appendix C.1, and the configs of its release"
_AMOS_DIFFERS = (
    "one rate, where the release searches a small grid of rates and batches; hidden steps are replaced by one learned "
    "vector, after the embedding; the network of the last epoch is kept, not that of the best validation"
)

for _task, _share, _epochs, _warmup in (
    ("listops", 0.1, 100, 2_000 * 32 / 96_000),
    ("text", 0.15, 32, 5_000 * 32 / 25_000),
    ("image", 0.5, 200, 2_500 * 32 / 45_000),
):
    register_recipe(
        NamedRecipe(
            SequencePretrainingRecipe(
                name=f"self_pretraining_{_task}",
                source=_AMOS,
                batch_size=32,
                optimizer=Optimizer(lr=1e-3, dynamics_lr=1e-3, weight_decay=0.0),
                schedule=Schedule(epochs=_epochs, warmup_epochs=_warmup, min_lr=1e-3),
                masked_share=_share,
            ),
            purpose=f"pre-training on the task's own sequences, {100 * _share:g} % hidden",
            command=f"modernet train --recipe self_pretraining_{_task} --data {_task} --model transformer",
            differs=_AMOS_DIFFERS,
        )
    )
