"""The base of all recipes: every choice of a training run except the network and the data, as a typed, frozen tree.

Needs no torch, so that the command line can show every field at once. Names of leaves are unique over the tree, because
each is also an option of the command line (`--lr`, `--mixup`).
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

from modernet.errors import InputError, unknown_name

LayerGroups = Literal["block", "paper", "single", "stage"]
"""How a network is divided into groups of layers that share a learning rate; see `Optimizer.layer_decay_groups`."""

_NO_BOUND = 1e9


@dataclass(frozen=True)
class Range:
    """The allowed values of a field, written beside it: `lr: Annotated[float, Range(0)]`. Both bounds are included."""

    low: float
    high: float = _NO_BOUND

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"at least {self.low:g}" if self.high == _NO_BOUND else f"from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Optimizer:
    """The optimizer, its rates, weight decay and clipping."""

    optimizer: Literal["adamw", "sgd", "lamb", "lars"] = "adamw"
    """AdamW, SGD with momentum, LAMB (You et al. 2019), or LARS (You et al. 2017)."""
    lr: Annotated[float, Range(0)] = 1e-3
    """Peak learning rate, for a batch of `lr_batch`."""
    lr_batch: Annotated[int | None, Range(1)] = None
    """Batch size that all rates are stated for; None: the batch size of the run."""
    dynamics_lr: Annotated[float | None, Range(0)] = None
    """Peak learning rate of the dynamics of state-space models (S4), for a batch of `lr_batch`; None: `lr`. In either
    case they do not decay."""
    lr_scaling: Literal["linear", "sqrt"] = "linear"
    """How all rates scale with batch_size / lr_batch: linearly, or with its square root."""
    weight_decay: Annotated[float, Range(0)] = 0.05
    """AdamW: decoupled; SGD: L2; LAMB and LARS: within their trust ratio. Norms, biases, scales and position
    embeddings are exempt."""
    decay_norms: bool = False
    """Decay every parameter but dynamics, as was usual before 2018."""
    beta1: Annotated[float, Range(0, 1)] = 0.9
    """First beta of AdamW and LAMB; momentum of SGD and LARS."""
    beta2: Annotated[float, Range(0, 1)] = 0.999
    """Second beta of AdamW and LAMB."""
    eps: Annotated[float, Range(0, 1)] = 1e-8
    """Added to the root of the second moment by AdamW and LAMB."""
    nesterov: bool = True
    """SGD: use Nesterov momentum."""
    layer_decay: Annotated[float, Range(1e-3, 1)] = 1.0
    """Layer-wise decay: factor of the learning rate from each group of layers to the one below; 1: none."""
    layer_decay_groups: LayerGroups = "block"
    """block: one group per block. As in the ConvNeXt releases: paper, 12 groups (6 in Tiny; V2 calls it group); single,
    one per block with the stem in the first (V2); stage, one per stage (segmentation)."""
    clip_grad: Annotated[float | None, Range(1e-9)] = None
    """Largest gradient norm, see `clip_mode`; None: no clipping. LAMB always clips the global norm to 1."""
    clip_mode: Literal["norm", "agc"] = "norm"
    """Clip the global norm; or the norm of each unit relative to its weights (AGC, Brock et al. 2021)."""


@dataclass(frozen=True)
class Schedule:
    """Length of training and learning-rate schedule, after a linear warm-up; updated every step."""

    epochs: Annotated[int, Range(1)] = 30
    """Passes over the training split."""
    warmup_epochs: Annotated[float, Range(0)] = 3.0
    """Length of the linear warm-up. If only the epochs are changed, it keeps its share of them."""
    warmup_lr: Annotated[float, Range(0)] = 0.0
    """Learning rate at the start of the warm-up, for a batch of `lr_batch`."""
    decay: Literal["cosine", "step", "late_steps", "linear", "rsqrt"] = "cosine"
    """Cosine down to `min_lr`, plateaus of equal length, plateaus that end after 3/4 and 11/12 (27 and 33 of the 36
    epochs of the 3x schedule for COCO), a line from the first step, also below the warm-up, down to `min_lr`
    (OpenMMLab's poly with power 1), or the inverse square root of the step (Vaswani et al. 2017)."""
    plateaus: Annotated[int, Range(1)] = 3
    """Number of plateaus with decay step: 3 is the 30-60-90 schedule of ResNet."""
    plateau_factor: Annotated[float, Range(0, 1)] = 0.1
    """Learning rate of each plateau relative to the one before, with decay step or late_steps."""
    min_lr: Annotated[float, Range(0)] = 1e-6
    """Learning rate at the end of the cosine or the line, for a batch of `lr_batch`."""


@dataclass(frozen=True)
class Recipe:
    """What every task's recipe has: batch, precision, averaging, optimizer, schedule. A task adds its own fields.

    `modernet train --recipe NAME --lr 2e-3` overrides a field.

    Attributes:
        task: kind of the task that it trains.
    """

    task: ClassVar[str]

    name: str
    """Name in the registry."""
    source: str
    """Publication or commands that its values are from."""
    batch_size: Annotated[int, Range(1)] = 128
    """Examples per optimizer step, over all processes."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of forward and backward pass; weights stay in fp32."""
    ema_decay: Annotated[float | None, Range(0, 1)] = None
    """Decay per step of the exponential moving average (EMA) of the weights; None: no EMA."""
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        values = leaves(self)
        for name, allowed in ranges(type(self)).items():  # type: ignore[arg-type]
            if values[name] is not None and values[name] not in allowed:
                raise InputError(f"{name} is {values[name]}; it must be {allowed}")
        if values["warmup_epochs"] > values["epochs"]:
            raise InputError(
                f"warmup_epochs is {values['warmup_epochs']} but the whole run has {values['epochs']} epochs; "
                f"give warmup_epochs of at most {values['epochs']}"
            )

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some leaves changed, wherever they are in the tree: `recipe.replace(lr=1e-3, epochs=5)`.

        Raises:
            InputError: there is no such leaf, or its value is out of range.
        """
        known = leaves(self)
        for name in changes:
            if name not in known:
                raise unknown_name("field of a recipe", name, known)
        parts: dict[str, Any] = {}
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                inner = {leaf.name: changes[leaf.name] for leaf in dataclasses.fields(value) if leaf.name in changes}
                parts[part.name] = dataclasses.replace(value, **inner)
            elif part.name in changes:
                parts[part.name] = changes[part.name]
        return dataclasses.replace(self, **parts)

    def lasting(self, epochs: int) -> Self:
        """Return a copy with another number of epochs; the warm-up keeps its share of them."""
        share = self.schedule.warmup_epochs / self.schedule.epochs
        return self.replace(epochs=epochs, warmup_epochs=share * epochs)


def leaves(recipe: Recipe) -> dict[str, Any]:
    """Return the value of every leaf of the tree by name, in order of definition."""
    found: dict[str, Any] = {}
    for part in dataclasses.fields(recipe):
        value = getattr(recipe, part.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            found |= {leaf.name: getattr(value, leaf.name) for leaf in dataclasses.fields(value)}
        else:
            found[part.name] = value
    return found


@functools.cache
def ranges(kind: Any) -> dict[str, Range]:
    """Return the ranges annotated in a dataclass and in the dataclasses of its fields, by name of the leaf."""
    found: dict[str, Range] = {}
    hints = typing.get_type_hints(kind, include_extras=True)
    for leaf in dataclasses.fields(kind):
        hint = hints[leaf.name]
        if dataclasses.is_dataclass(hint):
            found |= ranges(hint)  # type: ignore[arg-type]
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Range):
                found[leaf.name] = note
    return found
