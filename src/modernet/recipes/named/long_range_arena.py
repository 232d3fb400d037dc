"""The recipes of the Long Range Arena, from the configs of its release.

The release counts steps, here they are epochs of its training sets; every value that follows from steps is written as
the quotient. Its configs also differ in the sizes of the networks: those of its Transformer are in the commands.
"""

from __future__ import annotations

from typing import Any

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.named.catalogue import NamedRecipe, register_recipe
from modernet.recipes.sequences import SequenceRecipe

_SOURCE = "Tay et al. 2020 (arXiv 2011.04006), as in the configs of its release; its paper states other values"
_LAST = "all batches are used, where the release drops the last one of an epoch"


def _adam(lr: float, weight_decay: float = 0.0, clip_grad: float | None = None) -> Optimizer:
    """Return Flax's Adam, whose decay is decoupled and of every parameter."""
    return Optimizer(lr=lr, beta2=0.98, eps=1e-9, weight_decay=weight_decay, decay_norms=True, clip_grad=clip_grad)


def _register(task: str, purpose: str, model: str, differs: str = _LAST, **values: Any) -> None:
    recipe = SequenceRecipe(name=f"lra_{task}", source=_SOURCE, **values)
    command = f"modernet train --recipe {recipe.name} {model}"
    register_recipe(NamedRecipe(recipe, purpose=purpose, command=command, differs=differs))


_register(
    "listops",
    "the Arena's ListOps",
    "--data listops --model transformer --model-fields depth=4 width=512 heads=8 mlp_width=1024 pool=cls",
    f"2 epochs are 6,000 steps, and the release has 5,000; {_LAST}",
    batch_size=32,
    dropout=0.1,
    attention_dropout=0.1,
    optimizer=_adam(0.05 / 1_000**0.5, weight_decay=0.1),
    schedule=Schedule(epochs=2, warmup_epochs=1_000 * 32 / 96_000, decay="rsqrt"),
)
_register(
    "text",
    "the Arena's Text: bytes of IMDB",
    "--data text_lra --model transformer --model-fields depth=4 width=256 heads=4 mlp_width=1024 pool=cls",
    f"26 epochs are 20,332 steps, and the release has 20,000; {_LAST}",
    batch_size=32,
    dropout=0.1,
    attention_dropout=0.1,
    optimizer=_adam(0.05 / 8_000**0.5, weight_decay=0.1),
    schedule=Schedule(epochs=26, warmup_epochs=8_000 * 32 / 25_000, decay="rsqrt"),
)
_register(
    "retrieval",
    "the Arena's Retrieval: pairs of papers of AAN",
    "--data retrieval:path/to/tsv --model transformer --model-fields depth=4 width=128 heads=4 mlp_width=512",
    "one epoch is 4,597 steps, and the release has 5,000, all in its warm-up of 8,000: the rate is what it reaches "
    "then; networks take the mean over steps, where the release takes the first",
    batch_size=32,
    dropout=0.1,
    attention_dropout=0.1,
    optimizer=_adam(0.05 / 8_000**0.5 * 4_597 / 8_000, weight_decay=0.1),
    schedule=Schedule(epochs=1, warmup_epochs=1.0, decay="rsqrt"),
)
_register(
    "image",
    "the Arena's Image: grey CIFAR-10, pixel by pixel",
    "--data image_lra --model transformer "
    "--model-fields width=128 qkv_width=64 depth=1 heads=8 mlp_width=128 positions=learned pool=cls",
    batch_size=256,
    dropout=0.3,
    attention_dropout=0.2,
    optimizer=_adam(5e-4),
    schedule=Schedule(epochs=200, warmup_epochs=1.0, min_lr=0.0),
)
_register(
    "pathfinder",
    "the Arena's Pathfinder, at 32 pixels",
    "--data pathfinder32_lra --model transformer --model-fields width=32 qkv_width=16 depth=4 heads=4 mlp_width=32",
    f"dropout is the Transformer's; Local and Longformer have 0.1; {_LAST}",
    batch_size=512,
    dropout=0.2,
    attention_dropout=0.1,
    optimizer=_adam(1e-3),
    schedule=Schedule(epochs=200, warmup_epochs=1.0, min_lr=0.0),
)
_register(
    "pathx",
    "the Arena's Path-X: Pathfinder at 128 pixels",
    "--data pathx_lra --model transformer "
    "--model-fields width=32 qkv_width=16 depth=1 heads=2 mlp_width=32 positions=learned",
    batch_size=64,
    dropout=0.1,
    attention_dropout=0.1,
    optimizer=_adam(1e-3, clip_grad=1.0),
    schedule=Schedule(epochs=200, warmup_epochs=1.0, min_lr=0.0),
)
