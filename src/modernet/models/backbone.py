"""The backbone contract: what every network of the zoo provides, under timm's names.

An architecture implements four things: its stages (`forward_stage`), pooling (`pool`), a description of its feature
maps (`feature_info`), and the order of its layers (`group_key`). An architecture whose stages return something other
than a feature map, such as tokens, also implements the conversion (`feature_map`). Everything else is defined here.
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

GroupKey = tuple[float, ...]
"""Sort key of a group of parameters; keys sort from the stem to the head."""
STEM: GroupKey = (-math.inf,)
HEAD: GroupKey = (math.inf,)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Fields common to all architectures; each architecture adds its own."""

    num_classes: int = 1000
    """Outputs of the classifier; with 0 there is no classifier and the network returns pooled features."""
    in_chans: int = 3
    """Input channels."""
    drop_path_rate: float = 0.0
    """Stochastic depth rate of the last block; the rate rises linearly from 0 at the first."""
    global_pool: GlobalPool = "avg"
    """Pooling of the last features: their mean, or the class token where there is one. `""`, which needs
    `num_classes=0`, returns the features unpooled."""

    pools: ClassVar[tuple[GlobalPool, ...]] = ("avg", "")
    """Values of `global_pool` that the architecture supports, the default first."""

    def __post_init__(self) -> None:
        if self.num_classes < 0:
            raise InputError(f"num_classes is {self.num_classes}; give 0 (no classifier) or more")
        if self.in_chans < 1:
            raise InputError(f"in_chans is {self.in_chans}; give 1 or more")
        if not 0.0 <= self.drop_path_rate < 1.0:
            raise InputError(f"drop_path_rate is {self.drop_path_rate}; give a rate in [0, 1)")
        _check_pool(self.num_classes, self.global_pool, self.pools)


class Tokens(NamedTuple):
    """Tokens and their grid, which the stages of a transformer return."""

    x: Tensor
    """`(b, t, c)`: class and distillation tokens first, then the grid in row-major order."""
    grid: tuple[int, int]
    """Height and width of the grid."""

    def as_map(self) -> Tensor:
        """Return the grid tokens as a feature map `(b, c, h, w)`."""
        height, width = self.grid
        tokens = self.x[:, self.x.shape[1] - height * width :]
        return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, height, width)  # b t c -> b c h w


@dataclass(frozen=True)
class Feature:
    """One feature map of a backbone."""

    num_chs: int
    """Channels."""
    reduction: int
    """Stride with respect to the input, in pixels."""
    module: str
    """Name of the submodule that outputs it, as `(b, c, h, w)`, channels last or as tokens."""


class FeatureInfo(Sequence[Feature]):
    """The feature maps of a backbone, finest first."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = tuple(features)

    def channels(self) -> list[int]:
        """Return the channels of each feature map."""
        return [feature.num_chs for feature in self._features]

    def reduction(self) -> list[int]:
        """Return the stride of each feature map."""
        return [feature.reduction for feature in self._features]

    def module_name(self) -> list[str]:
        """Return the name of the submodule that outputs each feature map."""
        return [feature.module for feature in self._features]

    def select(self, indices: Sequence[int]) -> FeatureInfo:
        """Return the feature maps at the given indices."""
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
    """A network from images `(b, in_chans, h, w)` to feature maps to class scores.

    Attributes:
        num_classes: outputs of the classifier; 0 without one.
        num_features: length of the pooled feature vector.
        feature_info: channels and stride of the output of each stage.
    """

    classifier_name: ClassVar[str]
    """Name of the classifier submodule, as in the architecture's original release."""
    head_modules: ClassVar[tuple[str, ...]]
    """Attribute names of everything after the last feature map, including the classifier."""
    has_blocks: ClassVar[bool] = True
    """Whether the stages run blocks through `run_blocks`, which supports gradient checkpointing."""

    undecayed: ClassVar[tuple[str, ...]] = ()
    """Last name components of the parameters that the original release exempts from weight decay."""
    map_norm_eps: ClassVar[float | None] = None
    """eps of the LayerNorm that the releases for detection and segmentation put on every feature map; None: no norm."""
    wrapped_name: ClassVar[str] = ""
    """Name of the submodule that holds the whole network, where it comes from another library."""

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
        """Run stage `index` on the output of the previous stage; stage 0 takes the images."""

    def feature_map(self, x: Any) -> Tensor:
        """Return a stage's output as a feature map `(b, c, h, w)`, as described in `feature_info`."""
        y: Tensor = x
        return y

    def last_features(self, x: Any) -> Tensor:
        """Return the last stage's output as `forward_features` does, after the final norm if that precedes pooling."""
        return self.feature_map(x)

    @abstractmethod
    def pool(self, x: Tensor) -> Tensor:
        """Pool the output of `forward_features` to the classifier's input `(b, num_features)`."""

    @abstractmethod
    def group_key(self, name: str) -> GroupKey:
        """Return the sort key of a parameter's group for layer-wise learning-rate decay.

        The key is `STEM`, `HEAD`, or numbers that rise with depth, such as (stage, block). Parameters with equal keys
        form one group. In a ConvNeXt, with the groups of its releases (`published_group_key`) alongside:

            parameter                        `group_key`    "single"    "paper"
            downsample_layers.0.0.weight     STEM           (0, 0)      STEM
            stages.0.0.dwconv.weight         (0, 0)         (0, 0)      (0, 0)
            downsample_layers.1.1.weight     (1, 0)         (1, 0)      (1, 0)
            stages.1.2.pwconv1.weight        (1, 2)         (1, 2)      (1, 0)
            stages.2.8.norm.weight           (2, 8)         (2, 8)      (2, 2)
            head.weight                      HEAD           HEAD        HEAD
        """

    def published_group_key(self, name: str, groups: str) -> GroupKey:
        """Return the same key for a grouping that the original release used.

        Raises:
            InputError: the release has no such grouping.
        """
        raise InputError(f"a {type(self).__name__} has no published groups {groups!r}; give --layer-decay-groups block")

    def layer_groups(self, groups: str = "block") -> list[list[str]]:
        """Return parameter names grouped by layer, stem first, for layer-wise learning-rate decay.

        Args:
            groups: `block` for one group per block, or a grouping of the original release (`published_group_key`).
        """
        names: dict[GroupKey, list[str]] = {}
        for name, _ in self.named_parameters():
            key = self.group_key(name) if groups == "block" else self.published_group_key(name, groups)
            names.setdefault(key, []).append(name)
        return [names[key] for key in sorted(names)]

    def no_weight_decay(self) -> set[str]:
        """Return the multi-dimensional parameters exempt from weight decay, such as position embeddings."""
        return {name for name, _ in self.named_parameters() if name.rpartition(".")[2] in self.undecayed}

    def stage_modules(self, index: int) -> list[str]:
        """Return the modules and parameters that only stage `index` uses; a network cut before it drops them."""
        return [self.feature_info[index].module]

    def unused_names(self, indices: Sequence[int]) -> list[str]:
        """Return the modules and parameters that the given feature maps do not need: the head and later stages."""
        later = range(max(indices) + 1, len(self.feature_info))
        return [*self.head_modules, *(name for index in later for name in self.stage_modules(index))]

    def prune(self, indices: Sequence[int]) -> None:
        """Remove the modules and parameters that the given feature maps do not need."""
        for name in self.unused_names(indices):
            _remove(self, name)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the input of the head: a feature map `(b, c, h / stride, w / stride)`, or all tokens `(b, t, c)`."""
        state: Any = x
        for index in range(len(self.feature_info)):
            state = self.forward_stage(index, state)
        return self.last_features(state)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return class scores `(b, num_classes)` from features; with `pre_logits`, the classifier's input."""
        if self.global_pool == "":
            return x
        x = self.pool(x)
        return x if pre_logits else self._classify(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores `(b, num_classes)` for images `(b, in_chans, h, w)`."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        *,
        stop_early: bool = False,
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Return the feature maps of several stages from one pass.

        Args:
            x: images, `(b, in_chans, h, w)`.
            indices: entries of `feature_info`; an int n means the last n, None means all.
            stop_early: skip the stages after the last one requested.
            intermediates_only: return only the list.

        Returns:
            The output of `forward_features` (after an early stop: the last feature map computed) and the list of
            requested feature maps `(b, c, h, w)`; or only the list.
        """
        wanted = self.feature_indices(indices)
        count = len(self.feature_info)
        last = max(wanted) if stop_early else count - 1
        state: Any = x
        maps: dict[int, Tensor] = {}
        for index in range(last + 1):
            state = self.forward_stage(index, state)
            if index in wanted:
                maps[index] = self.feature_map(state)
        intermediates = [maps[index] for index in wanted]
        if intermediates_only:
            return intermediates
        return self.last_features(state) if last == count - 1 else maps[last], intermediates

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep only each block's input for the backward pass and recompute its activations there.

        Raises:
            InputError: the network has no blocks.
        """
        if enable and not self.has_blocks:
            raise InputError(f"{type(self).__name__} has no blocks to checkpoint; train it without checkpointing")
        self._grad_checkpointing = enable

    def run_blocks(self, blocks: nn.Module, x: Tensor) -> Tensor:
        """Run a block, or the blocks of an `nn.Sequential` in order, with gradient checkpointing if it is enabled."""
        if self._grad_checkpointing and torch.is_grad_enabled():
            for block in blocks if isinstance(blocks, nn.Sequential) else [blocks]:
                x = checkpoint_block(block, x)
            return x
        y: Tensor = blocks(x)
        return y

    def __prepare_scriptable__(self) -> nn.Module:
        """Return the graph that `torch.jit.script` compiles instead of the classes of a backbone, which it cannot.

        Randomness of the training mode, such as stochastic depth, stays as it is at this moment.
        """
        traced = torch.fx.symbolic_trace(self)
        for node in traced.graph.nodes:
            node.type = None  # torch.fx copies annotations as strings, which TorchScript takes for names of types
        traced.recompile()
        return traced

    def get_classifier(self) -> nn.Module:
        """Return the classifier, usually a `Linear`; an `Identity` if `num_classes` is 0."""
        return self.get_submodule(self.classifier_name)

    def classifier_names(self) -> tuple[str, ...]:
        """Return the names of the classifiers: one, or two for a network with a distillation head."""
        return (self.classifier_name,)

    def make_classifier(self, num_classes: int) -> nn.Module:
        """Return a newly initialised classifier for `num_features` inputs; an `Identity` for 0 classes."""
        return new_classifier(self.num_features, num_classes)

    def reset_classifier(self, num_classes: int, global_pool: GlobalPool | None = None) -> None:
        """Replace the classifier by a newly initialised one; with 0 classes the network returns features."""
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
        """Return indices into `feature_info` as non-negative integers."""
        count = len(self.feature_info)
        if indices is None:
            return list(range(count))
        if isinstance(indices, int):
            if not 1 <= indices <= count:
                raise InputError(f"out_indices is {indices}; this network has {count} feature maps: give 1 to {count}")
            return list(range(count - indices, count))
        if not indices:
            raise InputError(f"out_indices is empty; give feature maps from 0 to {count - 1}")
        for index in indices:
            if not -count <= index < count:
                raise InputError(f"there is no feature map {index}; give indices from 0 to {count - 1}")
        return [index % count for index in indices]


def new_classifier(num_features: int, num_classes: int) -> nn.Module:
    """Return a linear classifier, weights truncated normal (std 0.02), bias zero; an `Identity` for 0 classes."""
    if num_classes == 0:
        return nn.Identity()
    layer = nn.Linear(num_features, num_classes)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def _remove(network: nn.Module, name: str) -> None:
    """Remove a parameter, such as a class token, or replace a submodule by an identity."""
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
