"""ConvNeXt.

Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", 2022, arXiv 2201.03545.

Parameter names are those of the paper's code (facebookresearch/ConvNeXt).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.layers import DropPath, LayerNorm2d, drop_path_rates
from modernet.models.backbone import Backbone, Feature, FeatureInfo, ModelConfig, new_classifier
from modernet.models.zoo import Published, register_model


@dataclass(frozen=True, kw_only=True)
class ConvNeXtConfig(ModelConfig):
    """A ConvNeXt: blocks and channels of each of its four stages."""

    depths: tuple[int, ...] = (3, 3, 9, 3)
    dims: tuple[int, ...] = (96, 192, 384, 768)
    stem_stride: int = 4
    """Size and stride of the patches that the stem cuts; 2 or 1 for pictures of 64 or 32 pixels."""
    layer_scale_init: float = 1e-6
    """Where every entry of `gamma` starts; 0 is no layer scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.depths) != len(self.dims) or min(self.depths, default=0) < 1 or min(self.dims) < 1:
            raise InputError(
                f"depths {self.depths} and dims {self.dims}: give one number above 0 in each for every stage"
            )
        if self.stem_stride < 1:
            raise InputError(f"stem_stride is {self.stem_stride}; give 1 or more")
        if self.layer_scale_init < 0:
            raise InputError(
                f"layer_scale_init is {self.layer_scale_init}; give a number above 0, or 0 for no layer scale"
            )


class Block(nn.Module):
    """7x7 depthwise -> LayerNorm -> 1x1 to 4c -> GELU -> 1x1 back to c, scaled, added. `(b, c, h, w)` in and out.

    The pointwise convolutions are linear layers on channels-last tensors: the same numbers, and LayerNorm has its
    channels where it wants them.
    """

    def __init__(self, dim: int, *, drop_path: float = 0.0, layer_scale_init: float = 1e-6) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(torch.full((dim,), layer_scale_init)) if layer_scale_init > 0 else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dwconv(x).permute(0, 2, 3, 1)  # b c h w -> b h w c
        y = self.pwconv2(self.act(self.pwconv1(self.norm(y))))  # c -> 4c -> c
        y = y if self.gamma is None else self.gamma * y
        x = x + self.drop_path(y.permute(0, 3, 1, 2))  # b h w c -> b c h w
        return x


class ConvNeXt(Backbone):
    """Patchify stem, four stages with downsampling layers between them, average pool, LayerNorm, linear classifier."""

    classifier_name = "head"
    head_modules = ("norm", "head")

    def __init__(self, config: ConvNeXtConfig) -> None:
        super().__init__(config)
        dims, stride = config.dims, config.stem_stride

        stem = nn.Sequential(nn.Conv2d(config.in_chans, dims[0], stride, stride), LayerNorm2d(dims[0]))
        between = [nn.Sequential(LayerNorm2d(cin), nn.Conv2d(cin, cout, 2, 2)) for cin, cout in pairwise(dims)]
        self.downsample_layers = nn.ModuleList([stem, *between])
        self.stages = nn.ModuleList(
            nn.Sequential(*[Block(dim, drop_path=rate, layer_scale_init=config.layer_scale_init) for rate in rates])
            for dim, rates in zip(dims, drop_path_rates(config.drop_path_rate, config.depths), strict=True)
        )
        self.norm = nn.LayerNorm(dims[-1], eps=1e-6)

        self.num_features = dims[-1]
        self.feature_info = FeatureInfo(
            [Feature(dim, stride * 2**stage, f"stages.{stage}") for stage, dim in enumerate(dims)]
        )
        self.apply(_init)
        self.head = new_classifier(dims[-1], config.num_classes)

    def stage_modules(self, index: int) -> list[str]:
        return [f"downsample_layers.{index}", f"stages.{index}"]

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """A downsampling layer (the stem for stage 0) and the blocks after it."""
        return self.run_blocks(self.stages[index], self.downsample_layers[index](x))

    def pool(self, x: Tensor) -> Tensor:
        x = self.norm(x.mean((2, 3)))  # b c h w -> b c
        return x

    def layer_groups(self) -> list[list[str]]:
        """The stem; then every block, a downsampling layer going with the block after it; then the head."""
        groups: dict[tuple[int, int], list[str]] = {}
        for name, _ in self.named_parameters():
            module, *rest = name.split(".")
            if module == "downsample_layers":
                stage = int(rest[0])
                key = (-1, 0) if stage == 0 else (stage, 0)
            elif module == "stages":
                key = (int(rest[0]), int(rest[1]))
            else:
                key = (len(self.stages), 0)
            groups.setdefault(key, []).append(name)
        return [groups[key] for key in sorted(groups)]


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)  # as in the paper's code; its table 5 prints 0.2
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# --- variants -------------------------------------------------------------------------------------------------------

_LIU = "Liu et al. 2022, table 1"


@register_model(ConvNeXt, Published("ours, for tests", image_size=64))
def convnext_test() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(1, 1, 2, 1), dims=(8, 16, 32, 64))


@register_model(ConvNeXt, Published(_LIU, params_m=28.589, gmacs=4.4555, top1=82.1))
def convnext_tiny() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 9, 3), dims=(96, 192, 384, 768))


@register_model(ConvNeXt, Published(_LIU, params_m=50.224, gmacs=8.6837, top1=83.1))
def convnext_small() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 27, 3), dims=(96, 192, 384, 768))


@register_model(ConvNeXt, Published(_LIU, params_m=88.591, gmacs=15.3547, top1=83.8))
def convnext_base() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 27, 3), dims=(128, 256, 512, 1024))


@register_model(ConvNeXt, Published(_LIU, params_m=197.767, gmacs=34.3614, top1=84.3))
def convnext_large() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 27, 3), dims=(192, 384, 768, 1536))


# published for ImageNet-22K pre-training only, so without an ImageNet-1K figure
@register_model(ConvNeXt, Published(_LIU, params_m=350.197, gmacs=60.9210))
def convnext_xlarge() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 27, 3), dims=(256, 512, 1024, 2048))
