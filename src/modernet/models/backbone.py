"""The backbone contract: what every network of the zoo provides, under timm's names.

An architecture implements four things: its stages (`forward_stage`), pooling (`pool`), a description of its feature
maps (`feature_info`), and the order of its layers (`group_key`). An architecture whose stages return something other
than a feature map, such as tokens, also implements the conversion (`feature_map`); one that normalises before it pools
says how (`normed`). Everything else is defined here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import checkpoint_block
from modernet.models.feature_info import Feature as Feature
from modernet.models.feature_info import FeatureInfo as FeatureInfo
from modernet.models.model_config import GlobalPool as GlobalPool
from modernet.models.model_config import ModelConfig as ModelConfig
from modernet.models.model_config import check_pool
from modernet.models.scripting import scriptable_graph
from modernet.preparation import Size

OutputFormat = Literal["NCHW", "NHWC", "NLC"]

GroupKey = tuple[float, ...]
"""Sort key of a group of parameters; keys sort from the stem to the head."""
STEM: GroupKey = (-math.inf,)
HEAD: GroupKey = (math.inf,)


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


class Backbone(nn.Module, ABC):
    """A network from images `(b, in_chans, h, w)` to feature maps to class scores.

    Attributes:
        num_classes: outputs of the classifier; 0 without one.
        num_features: channels of what `forward_features` returns.
        head_hidden_size: length of the classifier's input, the pooled feature vector.
        feature_info: channels and stride of the output of each stage.
        pretrained_cfg: what `create_model` knows of the network's weights and images, under timm's keys.
    """

    classifier_name: ClassVar[str]
    """Name of the classifier submodule, as in the architecture's original release."""
    head_modules: ClassVar[tuple[str, ...]]
    """Attribute names of everything after the last feature map, including the classifier."""
    final_norms: ClassVar[tuple[str, ...]] = ()
    """Those of them that normalise the last features before they are pooled, as `normed` does."""
    regrows_head: ClassVar[bool] = True
    """Whether a pruned network can get a new classifier: nothing else of its head has weights, but norms."""
    has_blocks: ClassVar[bool] = True
    """Whether the stages run blocks through `run_blocks`, which supports gradient checkpointing."""
    crops_edges: ClassVar[bool] = False
    """Whether positions at the right and bottom that do not fill a stride are left out; else they are padded."""
    has_one_size: bool = False
    """Whether it takes images of one size only."""
    num_prefix_tokens: int = 0
    """Tokens before those of the grid, in what `forward_features` returns."""

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
        self.in_chans = config.in_chans
        self.drop_rate = config.drop_rate
        self.global_pool: GlobalPool = config.global_pool
        self._pools = config.pools
        self._grad_checkpointing = False
        self.pretrained_cfg: dict[str, Any] = {}
        self._num_stages: int | None = None
        self._pruned = False

    @property
    def head_hidden_size(self) -> int:
        return self.num_features

    @property
    def default_cfg(self) -> dict[str, Any]:
        """Another name of `pretrained_cfg`, which timm's code uses too."""
        return self.pretrained_cfg

    @abstractmethod
    def forward_stage(self, index: int, x: Any) -> Any:
        """Run stage `index` on the output of the previous stage; stage 0 takes the images."""

    def feature_map(self, x: Any) -> Tensor:
        """Return a stage's output as a feature map `(b, c, h, w)`, as described in `feature_info`."""
        y: Tensor = x
        return y

    def normed(self, index: int, x: Any) -> Any:
        """Return the output of stage `index` after the final norm, where that precedes pooling and fits the stage."""
        return x

    def last_features(self, x: Any) -> Tensor:
        """Return the last stage's output as `forward_features` does, after the final norm if that precedes pooling."""
        return self.feature_map(self.normed(len(self.feature_info) - 1, x))

    @abstractmethod
    def pool(self, x: Tensor) -> Tensor:
        """Pool the output of `forward_features` to the classifier's input `(b, head_hidden_size)`."""

    def pool_map(self, x: Tensor) -> Tensor:
        """Pool a feature map over its positions as `global_pool` says. `(b, c, h, w) -> (b, c)`."""
        if self.global_pool == "max":
            return x.amax((2, 3))
        if self.global_pool == "avgmax":
            return (x.mean((2, 3)) + x.amax((2, 3))) / 2
        return x.mean((2, 3))

    @property
    def stages_left(self) -> range:
        """Indices of the stages: of all feature maps, until `prune_intermediate_layers` removes the last ones."""
        return range(len(self.feature_info) if self._num_stages is None else self._num_stages)

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

    def group_matcher(self, coarse: bool = False) -> Callable[[str], GroupKey]:
        """Return the function by which timm groups parameters, as for `timm.optim`'s layer decay: name -> sort key.

        Args:
            coarse: one group per stage instead of one per block.
        """

        def key(name: str) -> GroupKey:
            whole = self.group_key(f"{name}.")  # timm asks for modules too
            return whole[:1] if coarse else whole

        return key

    def no_weight_decay(self) -> set[str]:
        """Return the multi-dimensional parameters exempt from weight decay, such as position embeddings."""
        return {name for name, _ in self.named_parameters() if name.rpartition(".")[2] in self.undecayed}

    def stage_modules(self, index: int) -> list[str]:
        """Return the modules and parameters that only stage `index` uses; a network cut before it drops them."""
        return [self.feature_info[index].module]

    def unused_names(self, indices: Sequence[int]) -> list[str]:
        """Return the modules and parameters of the stages that the given feature maps do not need."""
        later = range(max(indices) + 1, len(self.stages_left))
        return [name for index in later for name in self.stage_modules(index)]

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] | None = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove the modules and parameters that the given feature maps do not need, and return the maps' indices.

        Args:
            indices: entries of `feature_info`; an int n means the last n, None means all.
            prune_norm: remove the final norm too, where it precedes pooling. It never survives the loss of the stages
                that it is made for.
            prune_head: remove the head too, so that the network returns features. It never survives the loss of the
                last stage.
        """
        wanted = self.feature_indices(indices)
        before, last = self.stages_left[-1], max(wanted)
        channels = self.feature_info.channels(last)
        names: list[str] = []
        if prune_norm or channels != self.feature_info.channels(before):
            names += self.final_norms
        if prune_head or last < before:
            names += self.unused_names(wanted)
            names += [name for name in self.head_modules if name not in self.final_norms]
            self.num_classes, self.global_pool, self._pruned = 0, "", True
        for name in names:
            _remove(self, name)
        if last < before:
            self._num_stages, self.num_features = last + 1, channels
        return wanted

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the input of the head: a feature map `(b, c, h / stride, w / stride)`, or all tokens `(b, t, c)`.

        Without its last stages, the last feature map.
        """
        state: Any = x
        for index in self.stages_left:
            state = self.forward_stage(index, state)
        return self._end(self.stages_left[-1], state)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return class scores `(b, num_classes)` from features; with `pre_logits`, the classifier's input."""
        if self.global_pool == "":
            check_pool(self.num_classes, "", self._pools)
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
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: OutputFormat = "NCHW",
        intermediates_only: bool = False,
        return_prefix_tokens: bool = False,
        output_dict: bool = False,
    ) -> list[Any] | tuple[Tensor, list[Any]] | dict[str, Any]:
        """Return the feature maps of several stages from one pass.

        Args:
            x: images, `(b, in_chans, h, w)`.
            indices: entries of `feature_info`; an int n means the last n, None means all.
            norm: apply the final norm to the maps that it fits, where it precedes pooling.
            stop_early: skip the stages after the last one requested.
            output_fmt: layout of the maps: `NCHW`, `NHWC`, or `NLC`, a row per position.
            intermediates_only: return only the list.
            return_prefix_tokens: make each entry of the list a pair of the map and its `num_prefix_tokens` first
                tokens, in a network that has them.
            output_dict: return a dictionary: `image_intermediates`, the list; `image_intermediates_prefix`, the prefix
                tokens if they are requested; and `image_features` unless only intermediates are.

        Returns:
            The output of `forward_features` (after an early stop: the last feature map computed) and the list of
            requested feature maps; or only the list; or the dictionary.

        Raises:
            InputError: there is no such feature map or layout.
        """
        if output_fmt not in get_args(OutputFormat):
            raise InputError(f"output_fmt is {output_fmt!r}; give {' or '.join(map(repr, get_args(OutputFormat)))}")
        wanted = self.feature_indices(indices)
        last = max(wanted) if stop_early else self.stages_left[-1]
        state: Any = x
        maps: dict[int, Tensor] = {}
        prefixes: dict[int, Tensor] = {}
        for index in range(last + 1):
            state = self.forward_stage(index, state)
            if index in wanted:
                output = self.normed(index, state) if norm else state
                maps[index] = _in_format(self.feature_map(output), output_fmt)
                if self.num_prefix_tokens:
                    prefixes[index] = output.x[:, : self.num_prefix_tokens]
        intermediates: list[Any] = [maps[index] for index in wanted]
        prefix_tokens = [prefixes[index] for index in wanted] if prefixes and return_prefix_tokens else None
        if output_dict:
            outputs: dict[str, Any] = {"image_intermediates": intermediates}
            if prefix_tokens is not None:
                outputs["image_intermediates_prefix"] = prefix_tokens
            return outputs if intermediates_only else {**outputs, "image_features": self._end(last, state)}
        if prefix_tokens is not None:
            intermediates = list(zip(intermediates, prefix_tokens, strict=True))
        return intermediates if intermediates_only else (self._end(last, state), intermediates)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep only each block's input for the backward pass and recompute its activations there.

        Raises:
            InputError: the network has no blocks.
        """
        if enable and not self.has_blocks:
            raise InputError(f"{type(self).__name__} has no blocks to checkpoint; train it without checkpointing")
        self._grad_checkpointing = enable

    def run_blocks(self, blocks: nn.Module, x: Tensor, *others: Any) -> Tensor:
        """Run a block, or the blocks of an `nn.Sequential` in order, with gradient checkpointing if it is enabled.

        Args:
            others: what a single block takes besides `x`.
        """
        if self._grad_checkpointing and torch.is_grad_enabled():
            for block in blocks if isinstance(blocks, nn.Sequential) else [blocks]:
                x = checkpoint_block(block, x, *others)
            return x
        y: Tensor = blocks(x, *others)
        return y

    def __prepare_scriptable__(self) -> nn.Module:
        """As `scriptable_graph`. `torch.jit.script` of a module that contains the network puts the graph in its place.

        Copy such a module first: `torch.jit.script(copy.deepcopy(module))`.
        """
        return scriptable_graph(self)

    def note_input_size(self, size: Size) -> None:
        """Say in `pretrained_cfg` that the network is now for images of another size."""
        self.pretrained_cfg |= {"input_size": (self.in_chans, *size), "pool_size": self.grid_of(size)}

    def grid_of(self, size: Size) -> Size:
        """Return height and width of the last feature map for images of a size."""
        stride = self.feature_info.reduction(-1)
        if self.crops_edges:
            return size[0] // stride, size[1] // stride
        return -(-size[0] // stride), -(-size[1] // stride)

    def get_classifier(self) -> nn.Module:
        """Return the classifier, usually a `Linear`; an `Identity` if `num_classes` is 0."""
        return self.get_submodule(self.classifier_name)

    def classifier_names(self) -> tuple[str, ...]:
        """Return the names of the classifiers: one, or two for a network with a distillation head."""
        return (self.classifier_name,)

    def make_classifier(self, num_classes: int) -> nn.Module:
        """Return a newly initialised classifier for `head_hidden_size` inputs; an `Identity` for 0 classes."""
        return new_classifier(self.head_hidden_size, num_classes)

    def reset_classifier(self, num_classes: int, global_pool: GlobalPool | None = None) -> None:
        """Replace the classifier by a newly initialised one; with 0 classes the network returns features."""
        pool = self.global_pool if global_pool is None else global_pool
        if self._pruned and not self.regrows_head:
            if num_classes == 0 and pool == "":
                return
            raise InputError(
                f"the head of this {type(self).__name__} is pruned, and a classifier needs it; create the network again"
            )
        check_pool(num_classes, pool, self._pools)
        reference = next(self.parameters())
        self.num_classes = num_classes
        self.global_pool = pool
        for name in self.classifier_names():
            layer = self.make_classifier(num_classes).to(device=reference.device, dtype=reference.dtype)
            layer.train(self.training)
            self.set_submodule(name, layer)

    def _classify(self, x: Tensor) -> Tensor:
        scores: Tensor = self.get_classifier()(self.head_drop(x))
        return scores

    def head_drop(self, x: Tensor) -> Tensor:
        """Apply dropout of `drop_rate` to the classifier's input, in training."""
        return F.dropout(x, self.drop_rate, self.training) if self.drop_rate else x

    def _end(self, index: int, x: Any) -> Tensor:
        """Return the features after stage `index`: those of `forward_features`, or a feature map before the end."""
        return self.last_features(x) if index == self.stages_left[-1] else self.feature_map(x)

    def feature_indices(self, indices: int | Sequence[int] | None) -> list[int]:
        """Return indices into `feature_info` as non-negative integers."""
        count = len(self.stages_left)
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


def _in_format(x: Tensor, output_fmt: OutputFormat) -> Tensor:
    if output_fmt == "NHWC":
        return x.permute(0, 2, 3, 1)
    return x.flatten(2).transpose(1, 2) if output_fmt == "NLC" else x


def _remove(network: nn.Module, name: str) -> None:
    """Remove a parameter, such as a class token, or replace a submodule by an identity."""
    owner, _, leaf = name.rpartition(".")
    if leaf in dict(network.get_submodule(owner).named_parameters(recurse=False)):
        network.get_submodule(owner).register_parameter(leaf, None)
    else:
        network.set_submodule(name, nn.Identity())
