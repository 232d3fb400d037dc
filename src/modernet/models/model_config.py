"""What a network of the zoo is made of: the fields that the configs of all architectures share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from modernet.errors import InputError

GlobalPool = Literal["avg", "max", "avgmax", "token", ""]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Fields common to all architectures; each architecture adds its own."""

    num_classes: int = 1000
    """Outputs of the classifier; with 0 there is no classifier and the network returns pooled features."""
    in_chans: int = 3
    """Input channels."""
    drop_rate: float = 0.0
    """Dropout rate before the classifier."""
    drop_path_rate: float = 0.0
    """Stochastic depth rate of the last block; the rate rises linearly from 0 at the first."""
    global_pool: GlobalPool = "avg"
    """Pooling of the last features: their mean, their maximum, the mean of both, or the class token where there is one.
    `""`, which needs `num_classes=0`, returns the features unpooled."""

    pools: ClassVar[tuple[GlobalPool, ...]] = ("avg", "max", "avgmax", "")
    """Values of `global_pool` that the architecture supports, the default first."""

    def __post_init__(self) -> None:
        if self.num_classes < 0:
            raise InputError(f"num_classes is {self.num_classes}; give 0 (no classifier) or more")
        if self.in_chans < 1:
            raise InputError(f"in_chans is {self.in_chans}; give 1 or more")
        for name in ("drop_rate", "drop_path_rate"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise InputError(f"{name} is {getattr(self, name)}; give a rate in [0, 1)")
        check_pool(self.num_classes, self.global_pool, self.pools)


def check_pool(num_classes: int, global_pool: GlobalPool, known: Sequence[GlobalPool]) -> None:
    """Refuse a pooling that is unknown, or none with a classifier."""
    if global_pool not in known:
        allowed = " or ".join(repr(pool) for pool in known if pool)
        raise InputError(f"global_pool is {global_pool!r}; give {allowed}, or '' for the last features")
    if global_pool == "" and num_classes != 0:
        raise InputError(f"global_pool='' returns features, but num_classes is {num_classes}; give num_classes=0")
