"""The recipes of S4: per task of the Long Range Arena, and the one for anything else."""

from __future__ import annotations

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.named.catalogue import NamedRecipe, register_recipe
from modernet.recipes.sequences import SequenceRecipe

_SOURCE = "Gu et al. 2022 (arXiv 2111.00396), as in the newest configs of its release, which outdo the paper"
_DIFFERS = (
    "the release keeps the network of the best validation accuracy, here it is the last; it drops the last batch of an "
    "epoch, and lets D decay"
)

_OF_TEXT = (
    "dt has the rate of A and B, where the release gives it the full one; BatchNorm leaves padding out, where there it "
    "counts; "
)
_SHORTER = "the cosine ends with the run, where that of the release is for 50,000 steps, more than its 20 epochs have; "


def _adamw(lr: float, weight_decay: float = 0.05) -> Optimizer:
    return Optimizer(lr=lr, dynamics_lr=1e-3, weight_decay=weight_decay)


register_recipe(
    NamedRecipe(
        SequenceRecipe(
            name="s4",
            source="Gu et al. 2022, as in the example.py of its release: a small S4D for sequential CIFAR-10",
            batch_size=64,
            dropout=0.1,
            optimizer=_adamw(0.01, weight_decay=0.01),
            schedule=Schedule(epochs=100, warmup_epochs=0.0, min_lr=0.0),
        ),
        purpose="state-space models on any sequences",
        command="modernet train --recipe s4 --data image --model s4d_lin",
    )
)

for _task, _batch, _lr, _epochs, _warmup, _dropout, _size, _more in (
    ("listops", 32, 0.01, 40, 12_000 * 32 / 96_000, 0.0, "state=4 prenorm=False", _OF_TEXT),
    ("text", 16, 0.01, 32, 5_000 * 16 / 25_000, 0.0, "state=4", _OF_TEXT),
    ("retrieval", 64, 0.01, 20, 5_000 * 64 / 147_086, 0.0, "state=4", _OF_TEXT + _SHORTER),
    ("image", 50, 0.01, 200, 18_000 * 50 / 45_000, 0.1, "width=512 prenorm=False tie_dropout=True", ""),
    ("pathfinder", 64, 0.004, 200, 50_000 * 64 / 160_000, 0.0, "systems=None", ""),
    ("pathx", 16, 0.001, 50, 50_000 * 16 / 160_000, 0.0, "systems=None dt_min=0.0001", ""),
):
    _fields = f"depth=6 {_size}" if "width" in _size else f"depth=6 width=256 {_size}"
    _data = {
        "listops": "listops_s4",
        "text": "text_s4",
        "retrieval": "retrieval_s4:path/to/tsv",
        "pathfinder": "pathfinder32",
    }.get(_task, _task)
    register_recipe(
        NamedRecipe(
            SequenceRecipe(
                name=f"s4_{_task}",
                source=_SOURCE,
                batch_size=_batch,
                dropout=_dropout,
                optimizer=_adamw(_lr),
                schedule=Schedule(epochs=_epochs, warmup_epochs=_warmup, min_lr=0.0),
            ),
            purpose=f"S4 on the Arena's {_task.capitalize()}",
            command=f"modernet train --recipe s4_{_task} --data {_data} --model s4 --model-fields {_fields}",
            differs=_more + _DIFFERS,
        )
    )
