"""A backbone as a pyramid of feature maps, for dense prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from modernet.errors import InputError
from modernet.layers import LayerNorm2d
from modernet.models.backbone import Backbone, Feature, FeatureInfo
from modernet.models.scripting import scriptable_graph

_SIMPLE_WIDTH = 256


class FeaturePyramid(nn.Module):
    """The coarsest feature maps of a backbone that have different strides, finest first.

    Of several maps of one stride it takes the last. A LayerNorm follows each map where the backbone's releases for
    dense prediction have one (`Backbone.map_norm_eps`). A plain backbone, whose maps all have one stride, gets the
    simple feature pyramid of ViTDet: from its last map alone, by transposed convolutions and pooling, maps of 4, 2, 1
    and 1/2 times its resolution (Li et al. 2022, "Exploring Plain Vision Transformer Backbones for Object Detection",
    arXiv 2203.16527).

    Args:
        backbone: loses its head and every stage after the last map.
        levels: most maps; None: one of each stride. Four are those of strides 4 to 32 of most networks.

    Attributes:
        feature_info: channels and stride of each map.

    Raises:
        InputError: the backbone describes no feature maps.
    """

    def __init__(self, backbone: Backbone, levels: int | None = 4) -> None:
        super().__init__()
        last = {feature.reduction: index for index, feature in enumerate(backbone.feature_info)}
        if not last:
            raise InputError("this network describes no feature maps; choose one with strides from 4 to 32")
        self._indices = [last[reduction] for reduction in sorted(last)][-(levels or len(last)) :]
        chosen = [backbone.feature_info[index] for index in self._indices]
        maps = FeatureInfo(
            Feature(each.num_chs, each.reduction, f"levels.{level}") for level, each in enumerate(chosen)
        )
        if len(maps) == 1:
            self.levels = nn.ModuleList(_simple_levels(maps[0].num_chs))
            self.feature_info = FeatureInfo(
                [
                    Feature(_SIMPLE_WIDTH, max(round(maps[0].reduction * scale), 1), f"levels.{level}")
                    for level, scale in enumerate((1 / 4, 1 / 2, 1, 2))
                ]
            )
        else:
            eps = backbone.map_norm_eps
            self.levels = nn.ModuleList(
                nn.Identity() if eps is None else LayerNorm2d(channels, eps) for channels in maps.channels()
            )
            self.feature_info = maps
        backbone.prune_intermediate_layers(self._indices, prune_norm=True)
        self.backbone = backbone

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return a map `(b, num_chs, h / reduction, w / reduction)` per entry of `feature_info`."""
        maps = self.backbone.forward_intermediates(images, self._indices, stop_early=True, intermediates_only=True)
        assert isinstance(maps, list)
        if len(maps) == 1:
            maps *= len(self.levels)
        return [level(x) for level, x in zip(self.levels, maps, strict=True)]

    def __prepare_scriptable__(self) -> nn.Module:
        """As `scriptable_graph`."""
        return scriptable_graph(self)


class DenseNetwork(nn.Module, ABC):
    """The base of networks whose heads are on a backbone's feature pyramid: what training asks of their parameters.

    Args:
        backbone, levels: of `pyramid`, see `FeaturePyramid`.
    """

    def __init__(self, backbone: Backbone, levels: int | None = 4) -> None:
        super().__init__()
        self.pyramid = FeaturePyramid(backbone, levels)

    def layer_groups(self, groups: str = "block") -> list[list[str]]:
        """Return the groups of the backbone, see `Backbone.layer_groups`, and everything else as the last one."""
        of_backbone = [
            [f"pyramid.backbone.{name}" for name in group] for group in self.pyramid.backbone.layer_groups(groups)
        ]
        grouped = {name for group in of_backbone for name in group}
        return [*of_backbone, [name for name, _ in self.named_parameters() if name not in grouped]]

    @abstractmethod
    def classifier_names(self) -> tuple[str, ...]:
        """Return the names of the layers whose shape depends on the classes, which fine-tuning replaces."""

    def no_weight_decay(self) -> set[str]:
        """As `Backbone.no_weight_decay`."""
        return {f"pyramid.backbone.{name}" for name in self.pyramid.backbone.no_weight_decay()}

    def __prepare_scriptable__(self) -> nn.Module:
        """As `scriptable_graph`."""
        return scriptable_graph(self)


def _simple_levels(channels: int) -> Sequence[nn.Module]:
    """Return what makes maps of 4, 2, 1 and 1/2 times the resolution of a map `(b, channels, h, w)`."""
    fourfold = [
        nn.ConvTranspose2d(channels, channels // 2, 2, 2),
        LayerNorm2d(channels // 2),
        nn.GELU(),
        nn.ConvTranspose2d(channels // 2, channels // 4, 2, 2),
    ]
    twofold = [nn.ConvTranspose2d(channels, channels // 2, 2, 2)]
    half = [nn.MaxPool2d(2, 2, ceil_mode=True)]  # so that one row stays one row
    return [
        _to_width(fourfold, channels // 4),
        _to_width(twofold, channels // 2),
        _to_width([], channels),
        _to_width(half, channels),
    ]


def _to_width(layers: Sequence[nn.Module], channels: int) -> nn.Module:
    return nn.Sequential(
        *layers,
        nn.Conv2d(channels, _SIMPLE_WIDTH, 1, bias=False),
        LayerNorm2d(_SIMPLE_WIDTH),
        nn.Conv2d(_SIMPLE_WIDTH, _SIMPLE_WIDTH, 3, padding=1, bias=False),
        LayerNorm2d(_SIMPLE_WIDTH),
    )
