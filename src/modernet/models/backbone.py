"""The backbone contract: what every network of the zoo can do, under the names that the field already uses (timm's).

A network adds four things: its stages (`forward_stage`), how the last features become a vector (`pool`), what its
feature maps are (`feature_info`) and where its layers are (`layer_place`). A network whose stages hand on something
else than a feature map, such as tokens, also says how that is one (`feature_map`). Everything else is here, once.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, overload

import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.layers import checkpoint_block

GlobalPool = Literal["avg", "token", ""]

Place = tuple[float, ...]
"""Where a layer is between the stem and the head: places sort in that order."""
STEM: Place = (-math.inf,)
HEAD: Place = (math.inf,)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What every architecture's config has; an architecture adds its own fields."""

    num_classes: int = 1000
    """Outputs of the classifier; 0 is no classifier: the network returns the pooled features."""
    in_chans: int = 3
    """Channels of the image."""
    drop_path_rate: float = 0.0
    """Stochastic depth of the last block; earlier blocks less, in a line."""
    global_pool: GlobalPool = "avg"
    """How the last features become a vector: their mean, or the class token where there is one. `""` with
    `num_classes=0` returns the features themselves."""

    pools: ClassVar[tuple[GlobalPool, ...]] = ("avg", "")
    """The values of `global_pool` that the architecture knows, its own first."""

    def __post_init__(self) -> None:
        if self.num_classes < 0:
            raise InputError(f"num_classes is {self.num_classes}; give 0 (no classifier) or more")
        if self.in_chans < 1:
            raise InputError(f"in_chans is {self.in_chans}; give 1 or more")
        if not 0.0 <= self.drop_path_rate < 1.0:
            raise InputError(f"drop_path_rate is {self.drop_path_rate}; give a rate in [0, 1)")
        _check_pool(self.num_classes, self.global_pool, self.pools)


class Tokens(NamedTuple):
    """What the stages of a transformer hand on."""

    x: Tensor
    """`(b, t, c)`: class tokens and their like first, then the grid row by row."""
    grid: tuple[int, int]
    """Height and width of the grid."""

    def as_map(self) -> Tensor:
        """The tokens of the grid as a feature map `(b, c, h, w)`."""
        height, width = self.grid
        tokens = self.x[:, self.x.shape[1] - height * width :]
        return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, height, width)  # b t c -> b c h w


@dataclass(frozen=True)
class Feature:
    """One feature map that a backbone offers."""

    num_chs: int
    """Channels."""
    reduction: int
    """Stride: pixels of the image for one position, in each direction."""
    module: str
    """Name of the submodule whose output it is, as a map `(b, c, h, w)`, channels last or as tokens."""


class FeatureInfo(Sequence[Feature]):
    """The feature maps of a backbone, from the finest to the coarsest."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = tuple(features)

    def channels(self) -> list[int]:
        """Channels of every feature map."""
        return [feature.num_chs for feature in self._features]

    def reduction(self) -> list[int]:
        """Stride of every feature map."""
        return [feature.reduction for feature in self._features]

    def module_name(self) -> list[str]:
        """Name of the submodule behind every feature map."""
        return [feature.module for feature in self._features]

    def select(self, indices: Sequence[int]) -> FeatureInfo:
        """The feature maps at some indices."""
        return FeatureInfo([self._features[index] for index in indices])

    @overload
    def __getitem__(self, index: int) -> Feature: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Feature]: ...
    def __getitem__(self, index: int | slice) -> Feature | Sequence[Feature]:
        return self._features[index]

    def __len__(self) -> int:
        return len(self._features)

    def __iter__(self) -> Iterator[Feature]:
        return iter(self._features)

    def __repr__(self) -> str:
        return f"FeatureInfo({list(self._features)})"


class Backbone(nn.Module, ABC):
    """A network that turns images `(b, in_chans, h, w)` into feature maps, and those into class scores.

    Attributes:
        num_classes: outputs of the classifier; 0 when there is none.
        num_features: length of the pooled feature vector.
        feature_info: channels and stride of the output of each stage.
    """

    classifier_name: ClassVar[str]
    """Name of the classifier's submodule, as in the architecture's original release."""
    head_modules: ClassVar[tuple[str, ...]]
    """Attribute names of what comes after the last feature map, the classifier included."""
    has_blocks: ClassVar[bool] = True
    """Whether its stages run their blocks by `run_blocks`, so that those can be checkpointed."""

    undecayed: ClassVar[tuple[str, ...]] = ()
    """Last words of the names of parameters that the architecture's release spares from weight decay."""
    wrapped_name: ClassVar[str] = ""
    """Name of the submodule that is the whole network, for one of another library."""

    num_features: int
    feature_info: FeatureInfo

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_classes = config.num_classes
        self.global_pool: GlobalPool = config.global_pool
        self._pools = config.pools
        self._grad_checkpointing = False

    @abstractmethod
    def forward_stage(self, index: int, x: Any) -> Any:
        """Run stage `index` on the output of the stage before it, or on the image for stage 0."""

    def feature_map(self, x: Any) -> Tensor:
        """A stage's output as the feature map `feature_info[index]`, `(b, c, h, w)`."""
        y: Tensor = x
        return y

    def last_features(self, x: Any) -> Tensor:
        """The last stage's output as `forward_features` returns it: normalised, where that comes before the pool."""
        return self.feature_map(x)

    @abstractmethod
    def pool(self, x: Tensor) -> Tensor:
        """What `forward_features` returns as the vector `(b, num_features)` that the classifier sees."""

    @abstractmethod
    def layer_place(self, name: str) -> Place:
        """Which layer a parameter belongs to: `STEM`, numbers that count layers such as stage and block, or `HEAD`."""

    def published_place(self, name: str, groups: str) -> Place:
        """As `layer_place`, for the groups of the architecture's release; an `InputError` where it has none."""
        raise InputError(f"a {type(self).__name__} has no published groups {groups!r}; give --layer-decay-groups block")

    def layer_groups(self, groups: str = "block") -> list[list[str]]:
        """Parameter names from the stem to the head, for layer-wise learning-rate decay; each is in one group.

        `block` is a group for each block. Others are those of the architecture's release: see `published_place`.
        """
        found: dict[Place, list[str]] = {}
        for name, _ in self.named_parameters():
            place = self.layer_place(name) if groups == "block" else self.published_place(name, groups)
            found.setdefault(place, []).append(name)
        return [found[place] for place in sorted(found)]

    def no_weight_decay(self) -> set[str]:
        """Names of parameters of several dimensions that do not decay, such as position embeddings; see `undecayed`."""
        return {name for name, _ in self.named_parameters() if name.rpartition(".")[2] in self.undecayed}

    def stage_modules(self, index: int) -> list[str]:
        """Names of what stage `index` alone runs, modules or class tokens: a shorter network does not need them."""
        return [self.feature_info[index].module]

    def unused_names(self, indices: Sequence[int]) -> list[str]:
        """Names of the submodules and parameters that no feature map of these needs: the head and later stages."""
        later = range(max(indices) + 1, len(self.feature_info))
        return [*self.head_modules, *(name for index in later for name in self.stage_modules(index))]

    def prune(self, indices: Sequence[int]) -> None:
        """Remove what no feature map of these needs."""
        for name in self.unused_names(indices):
            _remove(self, name)

    def forward_features(self, x: Tensor) -> Tensor:
        """What the head sees: a feature map `(b, c, h / stride, w / stride)`, or all tokens `(b, t, c)`."""
        state: Any = x
        for index in range(len(self.feature_info)):
            state = self.forward_stage(index, state)
        return self.last_features(state)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Class scores `(b, num_classes)` from those features; with `pre_logits`, the classifier's input."""
        if self.global_pool == "":
            return x
        x = self.pool(x)
        return x if pre_logits else self._classify(x)

    def forward(self, x: Tensor) -> Tensor:
        """Images `(b, in_chans, h, w)` -> class scores `(b, num_classes)`."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        *,
        stop_early: bool = False,
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The outputs of several stages in one pass.

        Args:
            x: images, `(b, in_chans, h, w)`.
            indices: which entries of `feature_info`; a number n means the last n; None means all.
            stop_early: do not compute stages after the last one asked for.
            intermediates_only: return the list alone.

        Returns:
            What `forward_features` returns (the last feature map that was computed, if that was not the last stage)
            and the list of maps `(b, c, h, w)` asked for; or the list alone.
        """
        wanted = self.feature_indices(indices)
        count = len(self.feature_info)
        last = max(wanted) if stop_early else count - 1
        state: Any = x
        found: dict[int, Tensor] = {}
        for index in range(last + 1):
            state = self.forward_stage(index, state)
            if index in wanted:
                found[index] = self.feature_map(state)
        intermediates = [found[index] for index in wanted]
        if intermediates_only:
            return intermediates
        return self.last_features(state) if last == count - 1 else found[last], intermediates

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep only what enters each block for the backward pass, which then computes its inside again.

        Raises:
            InputError: this network has no blocks.
        """
        if enable and not self.has_blocks:
            raise InputError(f"{type(self).__name__} has no blocks to checkpoint; train it without")
        self._grad_checkpointing = enable

    def run_blocks(self, blocks: nn.Module, x: Tensor) -> Tensor:
        """A block, or the blocks of an `nn.Sequential` one after the other; checkpointed if that was asked for."""
        if self._grad_checkpointing and torch.is_grad_enabled():
            for block in blocks if isinstance(blocks, nn.Sequential) else [blocks]:
                x = checkpoint_block(block, x)
            return x
        y: Tensor = blocks(x)
        return y

    def get_classifier(self) -> nn.Module:
        """The last layer: most often a `Linear`; an `Identity` when `num_classes` is 0."""
        return self.get_submodule(self.classifier_name)

    def classifier_names(self) -> tuple[str, ...]:
        """Names of the submodules that give class scores: one, or two where there is a head for a teacher's scores."""
        return (self.classifier_name,)

    def make_classifier(self, num_classes: int) -> nn.Module:
        """A freshly initialised classifier for vectors of `num_features`; an `Identity` for 0 classes."""
        return new_classifier(self.num_features, num_classes)

    def reset_classifier(self, num_classes: int, global_pool: GlobalPool | None = None) -> None:
        """Put a freshly initialised classifier in place; 0 classes: none, the network returns features."""
        pool = self.global_pool if global_pool is None else global_pool
        _check_pool(num_classes, pool, self._pools)
        reference = next(self.parameters())
        self.num_classes = num_classes
        self.global_pool = pool
        for name in self.classifier_names():
            layer = self.make_classifier(num_classes).to(device=reference.device, dtype=reference.dtype)
            self.set_submodule(name, layer)

    def _classify(self, x: Tensor) -> Tensor:
        scores: Tensor = self.get_classifier()(x)
        return scores

    def feature_indices(self, indices: int | Sequence[int] | None) -> list[int]:
        """Indices into `feature_info` as a list of numbers from 0."""
        count = len(self.feature_info)
        if indices is None:
            return list(range(count))
        if isinstance(indices, int):
            if not 1 <= indices <= count:
                raise InputError(f"the last {indices} feature maps were asked for; this network has {count}")
            return list(range(count - indices, count))
        if not indices:
            raise InputError(f"no feature map was asked for; this network has 0 to {count - 1}")
        for index in indices:
            if not -count <= index < count:
                raise InputError(f"feature map {index} was asked for; this network has 0 to {count - 1}")
        return [index % count for index in indices]


def new_classifier(num_features: int, num_classes: int) -> nn.Module:
    """A linear classifier with weights from a truncated normal (sd 0.02) and zero bias; an identity for 0 classes."""
    if num_classes == 0:
        return nn.Identity()
    layer = nn.Linear(num_features, num_classes)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def _remove(network: nn.Module, name: str) -> None:
    """Take away a parameter, such as a class token, or put an identity in a submodule's place."""
    owner, _, leaf = name.rpartition(".")
    if leaf in dict(network.get_submodule(owner).named_parameters(recurse=False)):
        network.get_submodule(owner).register_parameter(leaf, None)
    else:
        network.set_submodule(name, nn.Identity())


def _check_pool(num_classes: int, global_pool: GlobalPool, known: Sequence[GlobalPool]) -> None:
    if global_pool not in known:
        allowed = " or ".join(repr(pool) for pool in known if pool)
        raise InputError(f"global_pool is {global_pool!r}; give {allowed}, or '' for the last features")
    if global_pool == "" and num_classes != 0:
        raise InputError(f"global_pool='' returns features, but num_classes is {num_classes}; give num_classes=0")
