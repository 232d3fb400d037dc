"""timm's networks under the contract of this zoo.

Wightman, "PyTorch Image Models", 2019, github.com/huggingface/pytorch-image-models.

Every network of timm is available as `timm:NAME`: RegNet, EfficientNet, MobileViT, RepVGG and hundreds more, including
timm's versions of the architectures here. The network and its parameter names are timm's, under `network.`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import timm
from timm.models import group_parameters
from torch import Tensor, nn

from modernet.catalogue import TIMM_PREFIX
from modernet.errors import InputError, unknown_name
from modernet.models.backbone import (
    Backbone,
    Feature,
    FeatureInfo,
    GlobalPool,
    GroupKey,
    ModelConfig,
    OutputFormat,
)
from modernet.models.entry import ModelEntry, Published
from modernet.models.model_config import check_pool


@dataclass(frozen=True, kw_only=True)
class TimmConfig(ModelConfig):
    """One of timm's networks; all other settings keep timm's defaults."""

    architecture: str = "resnet50"
    """Name in timm."""
    image_size: int = 0
    """Side of the square input, for networks built for one size; 0 keeps timm's default."""
    global_pool: Any = "default"
    """`"default"`: as timm makes the network; or any other of `pools` that the network has. `""` as elsewhere."""

    pools: ClassVar[tuple[Any, ...]] = ("default", "avg", "max", "avgmax", "token", "map", "")


class TimmBackbone(Backbone):
    """One of timm's networks, run by timm's own code.

    It does not run stage by stage, so `forward_stage` raises. What the contract does not define is the network's own.
    """

    classifier_name = "network"
    head_modules = ()
    wrapped_name = "network"
    network: Any

    def __init__(self, config: TimmConfig) -> None:
        super().__init__(config)
        options: dict[str, Any] = {
            name: getattr(config, name)
            for name, default in (("drop_rate", 0.0), ("drop_path_rate", 0.0), ("global_pool", "default"))
            if getattr(config, name) not in (default, "")
        }
        if config.image_size:
            options["img_size"] = config.image_size
        try:
            network: Any = timm.create_model(
                config.architecture, num_classes=config.num_classes, in_chans=config.in_chans, **options
            )
        except (TypeError, AssertionError) as error:
            names = ", ".join("image_size" if name == "img_size" else name for name in options)
            raise InputError(f"{TIMM_PREFIX}{config.architecture} does not take {names}; leave it out") from error
        self.network = network
        self.global_pool = config.global_pool and _pool_of(network)
        self._architecture = config.architecture
        self.num_features = int(network.num_features)
        self.num_prefix_tokens = getattr(network, "num_prefix_tokens", 0)
        self.pretrained_cfg = network.pretrained_cfg
        self.feature_info = FeatureInfo(
            [
                Feature(feature["num_chs"], feature["reduction"], f"network.{feature.get('module', '')}")
                for feature in getattr(network, "feature_info", ())
            ]
        )

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "network":
                raise
            return getattr(self.network, name)

    @property
    def head_hidden_size(self) -> int:
        return int(self.network.head_hidden_size)

    def forward_stage(self, index: int, x: Any) -> Any:
        raise InputError(
            f"{TIMM_PREFIX}{self._architecture} does not run stage by stage; call forward_intermediates for "
            "its feature maps"
        )

    def forward_features(self, x: Tensor) -> Tensor:
        y: Tensor = self.network.forward_features(x)
        return y

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        if self.global_pool == "":
            return x
        y: Tensor = self.network.forward_head(x, pre_logits=pre_logits)
        return y

    def forward(self, x: Tensor) -> Tensor:
        if self.global_pool == "":
            return self.forward_features(x)
        y: Tensor = self.network(x)
        return y

    def pool(self, x: Tensor) -> Tensor:
        return self.forward_head(x, pre_logits=True)

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
        wanted = self.feature_indices(indices)
        in_order = sorted(set(wanted))
        tokens = {"return_prefix_tokens": return_prefix_tokens, "output_dict": output_dict}
        output = self.network.forward_intermediates(
            x,
            indices=in_order,
            norm=norm,
            stop_early=stop_early,
            output_fmt=output_fmt,
            intermediates_only=intermediates_only,
            **{name: value for name, value in tokens.items() if value},  # only some of timm's networks know them
        )

        def as_requested(maps: list[Any]) -> list[Any]:
            return [maps[in_order.index(index)] for index in wanted]

        if output_dict:
            return {key: value if key == "image_features" else as_requested(value) for key, value in output.items()}
        return as_requested(output) if intermediates_only else (output[0], as_requested(output[1]))

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] | None = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        wanted = self.feature_indices(indices)
        self.network.prune_intermediate_layers(sorted(set(wanted)), prune_norm=prune_norm, prune_head=prune_head)
        self._num_stages, self.num_features = max(wanted) + 1, int(self.network.num_features)
        if prune_head:
            self.num_classes, self.global_pool = 0, ""
        return wanted

    @cached_property
    def _layers(self) -> dict[str, int]:
        """Parameter name -> timm's layer index."""
        layers: dict[str, int] = group_parameters(self.network, self.network.group_matcher(coarse=False), reverse=True)
        return layers

    def group_matcher(self, coarse: bool = False) -> Callable[[str], GroupKey]:
        matcher = self.network.group_matcher(coarse=coarse)
        layers: dict[str, int] = group_parameters(self.network, matcher, reverse=True)
        return lambda name: (layers[name.removeprefix("network.")],)

    def group_key(self, name: str) -> GroupKey:
        """timm's layer groups."""
        return (self._layers[name.removeprefix("network.")],)

    def no_weight_decay(self) -> set[str]:
        """timm's list, empty if the network defines none."""
        names = getattr(self.network, "no_weight_decay", set)
        return {f"network.{name}" for name in names()}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        try:
            self.network.set_grad_checkpointing(enable)
        except AssertionError as error:
            raise InputError(
                f"{TIMM_PREFIX}{self._architecture} has no blocks to checkpoint; train it without checkpointing"
            ) from error

    def get_classifier(self) -> nn.Module:
        layer: nn.Module = self.network.get_classifier()
        return layer

    def classifier_names(self) -> tuple[str, ...]:
        classifier = self.network.get_classifier()
        layers = list(classifier) if isinstance(classifier, tuple | nn.ModuleList) else [classifier]
        return tuple(name for name, module in self.named_modules() if any(module is layer for layer in layers))

    def reset_classifier(self, num_classes: int, global_pool: GlobalPool | None = None) -> None:
        pool = self.global_pool if global_pool is None else global_pool
        check_pool(num_classes, pool, (*self._pools[1:], self.global_pool))
        self.network.reset_classifier(num_classes, **({"global_pool": global_pool} if global_pool else {}))
        self.num_classes = num_classes
        self.global_pool = pool


def _pool_of(network: Any) -> Any:
    """Return timm's name of a network's pooling, which the network or its head has; `avg` where neither says."""
    for owner in (network, getattr(network, "head", None)):
        pool = getattr(owner, "global_pool", None)
        name = getattr(pool, "pool_type", pool)
        if isinstance(name, str):
            return name
    return "avg"


def timm_entry(name: str) -> ModelEntry:
    """Return the entry of `timm:NAME`.

    Raises:
        InputError: timm has no such network.
    """
    architecture = name.removeprefix(TIMM_PREFIX)
    if not timm.is_model(architecture):
        raise unknown_name("network of timm", architecture, timm.list_models())
    pretrained: Any = timm.get_pretrained_cfg(architecture)
    size = pretrained.input_size[-1] if pretrained is not None else 224
    published = Published("timm", image_size=size)
    return ModelEntry(name, TimmConfig(architecture=architecture), TimmBackbone, published)


def fixed_size(name: str) -> int | None:
    """Return the side of the images that `timm:NAME` is built for; None where it takes images of any size."""
    pretrained: Any = timm.get_pretrained_cfg(name.removeprefix(TIMM_PREFIX))
    return pretrained.input_size[-1] if pretrained is not None and pretrained.fixed_input_size else None
