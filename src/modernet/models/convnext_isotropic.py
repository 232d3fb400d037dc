"""Isotropic ConvNeXt.

Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", 2022, arXiv 2201.03545, section 3.3.

ConvNeXt's blocks in the layout of a Vision Transformer: patches of 16 pixels and one resolution throughout. The paper
uses it to ask whether the block alone, without the pyramid of stages, can compete with attention: at equal size it is
about as accurate as ViT, and cheaper.

    image 3 x 224 x 224                        convnext_isotropic_small
      16x16 convolution, stride 16   -> 384 x 14 x 14
      18 x block (7x7 depthwise -> LayerNorm -> 1x1 to 4c -> GELU -> 1x1 to c -> +)
      average pool -> LayerNorm -> linear -> 1000

Parameter names are those of the paper's code (models/convnext_isotropic.py): no norm in the stem, layer scale in Large
only. The paper and its README disagree on the accuracy of Small (79.7 and 78.7); the paper's is given.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from modernet.errors import InputError
from modernet.layers import drop_path_rates
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.convnext import Block, init_weights
from modernet.models.entry import Published, register_model


@dataclass(frozen=True, kw_only=True)
class ConvNeXtIsotropicConfig(ModelConfig):
    """An isotropic ConvNeXt."""

    depth: int = 18
    """Number of blocks."""
    dim: int = 384
    """Channels."""
    patch_size: int = 16
    """Size and stride of the patches in pixels."""
    layer_scale_init: float = 0.0
    """Initial value of layer scale (`gamma`); 0 disables layer scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("depth", "dim", "patch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.layer_scale_init < 0:
            raise InputError(f"layer_scale_init is {self.layer_scale_init}; give a number above 0, or 0 for none")


class ConvNeXtIsotropic(Backbone):
    """Patches, blocks at one resolution, average pool, LayerNorm, linear classifier. One feature map per block."""

    classifier_name = "head"
    head_modules = ("norm", "head")
    crops_edges = True

    def __init__(self, config: ConvNeXtIsotropicConfig) -> None:
        super().__init__(config)
        dim = config.dim
        self.stem = nn.Conv2d(config.in_chans, dim, config.patch_size, config.patch_size)
        (rates,) = drop_path_rates(config.drop_path_rate, [config.depth])
        self.blocks = nn.ModuleList(
            Block(dim, drop_path=rate, layer_scale_init=config.layer_scale_init) for rate in rates
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)

        self.num_features = dim
        self.feature_info = FeatureInfo(
            [Feature(dim, config.patch_size, f"blocks.{index}") for index in range(config.depth)]
        )
        self.apply(init_weights)
        self.head = new_classifier(dim, config.num_classes)

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run one block; stage 0 includes the stem."""
        x = self.stem(x) if index == 0 else x
        return self.run_blocks(self.blocks[index], x)

    def pool(self, x: Tensor) -> Tensor:
        x = self.norm(self.pool_map(x))  # b c h w -> b c
        return x

    def group_key(self, name: str) -> GroupKey:
        """The stem; each block; the final norm and the head."""
        module, block, *_ = name.split(".")
        return (int(block),) if module == "blocks" else STEM if module == "stem" else HEAD


# --- variants -------------------------------------------------------------------------------------------------------

_LIU = "Liu et al. 2022, table 2"


@register_model(ConvNeXtIsotropic, Published("ours, for tests", image_size=64))
def convnext_isotropic_test() -> ConvNeXtIsotropicConfig:
    return ConvNeXtIsotropicConfig(depth=2, dim=16)


@register_model(ConvNeXtIsotropic, Published(_LIU, params_m=22.309, gmacs=4.2864, top1=79.7))
def convnext_isotropic_small() -> ConvNeXtIsotropicConfig:
    return ConvNeXtIsotropicConfig()


@register_model(ConvNeXtIsotropic, Published(_LIU, params_m=87.084, gmacs=16.8963, top1=82.0))
def convnext_isotropic_base() -> ConvNeXtIsotropicConfig:
    return ConvNeXtIsotropicConfig(dim=768)


@register_model(ConvNeXtIsotropic, Published(_LIU, params_m=305.943, gmacs=59.6992, top1=82.6))
def convnext_isotropic_large() -> ConvNeXtIsotropicConfig:
    return ConvNeXtIsotropicConfig(depth=36, dim=1024, layer_scale_init=1e-6)
