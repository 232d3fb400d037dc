"""RVT, the Robust Vision Transformer.

Mao, Qi, Chen, Li, Duan, Ye, He, Xue, "Towards Robust Vision Transformer", 2022, arXiv 2105.07926.

A Vision Transformer assembled from components that proved robust when tested one by one on corrupted images,
adversarial images and sketches: a convolutional stem instead of plain patches, no class token (average pooling), no
position embedding (a depthwise convolution in the MLP encodes position), many heads, and few changes of resolution. The
starred models, here `plus`, also scale attention by a learned factor per pair of positions, and are trained with noise
on single patches.

    image 3 x 224 x 224                                rvt_tiny
      7x7 convolution, stride 2 -> BatchNorm
      3x3 max-pool, stride 2              -> 32 x 56 x 56     block, c channels:
      4x4 convolution, stride 4           -> 192 x 14 x 14      LayerNorm -> attention (plus: scaled scores)
      10 x block                          -> 192 x 14 x 14        -> +
      3x3 depthwise, stride 2             -> 384 x 7 x 7        LayerNorm -> 1x1 to 4c -> 3x3 depthwise -> 1x1 to c
      2 x block                           -> 384 x 7 x 7          -> +
      average pool -> LayerNorm -> linear -> 1000             small and base have one stage

Parameter names are those of the authors' code (vtddggg/Robust-Vision-Transformer), where the MLP of the base models has
no depthwise convolution and no norms. The authors leave the attention factors uninitialised; here their logits start at
0, which halves every score.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import DropPath, Mlp, drop_path_rates
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.entry import Published, register_model
from modernet.models.image_size import of_size
from modernet.preparation import Size

_STEM_WIDTH = 32
_PATCH = 16  # stride of the stem


@dataclass(frozen=True, kw_only=True)
class RVTConfig(ModelConfig):
    """An RVT."""

    image_size: int = 224
    """Image size in pixels, fixed where attention is scaled (`scaled_blocks`); otherwise any size works."""
    depths: tuple[int, ...] = (12,)
    """Blocks per stage."""
    heads: tuple[int, ...] = (6,)
    """Attention heads per stage."""
    head_dim: int = 64
    """Channels per head; a stage has `heads * head_dim` channels."""
    scaled_blocks: int = 0
    """Number of blocks of the first stage that scale attention per pair of positions."""
    conv_mlp: bool = True
    """Add a depthwise convolution and norms to the MLP."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.depths) != len(self.heads) or min((*self.depths, *self.heads), default=0) < 1:
            raise InputError(
                f"depths {self.depths} and heads {self.heads}: give one number above 0 in each for every stage"
            )
        if any(after % before for before, after in pairwise(self.heads)):
            raise InputError(f"heads is {self.heads}; give each stage a multiple of the previous one")
        if self.head_dim < 1:
            raise InputError(f"head_dim is {self.head_dim}; give 1 or more")
        if not 0 <= self.scaled_blocks <= self.depths[0]:
            raise InputError(f"scaled_blocks is {self.scaled_blocks}; give 0 to {self.depths[0]}")
        if self.image_size < 2 * _PATCH or self.image_size % _PATCH:
            raise InputError(f"image_size is {self.image_size}; give a multiple of {_PATCH}, such as 224")


class PatchEmbed(nn.Module):
    """Two convolutions and a max-pool, stride 16 in total. `(b, cin, h, w) -> (b, c, h / 16, w / 16)`."""

    def __init__(self, in_chans: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(in_chans, _STEM_WIDTH, 7, stride=2, padding=2),
            nn.BatchNorm2d(_STEM_WIDTH),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(_STEM_WIDTH, dim, 4, stride=4),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x)
        return x


class Attention(nn.Module):
    """Global attention. `(b, h, w, c)` in and out.

    Args:
        positions: number of positions, if each pair's score gets a learned factor in (0, 1); 0 for no factors.
    """

    def __init__(self, dim: int, heads: int, positions: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.att_mask = nn.Parameter(torch.zeros(heads, positions, positions)) if positions else None

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        q, k, v = self.qkv(x).reshape(b, h * w, 3, self.heads, c // self.heads).unbind(2)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))  # b t heads d -> b heads t d
        if self.att_mask is None:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            scores = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
            y = (scores * self.att_mask.sigmoid()).softmax(3) @ v
        x = self.proj(y.transpose(1, 2).reshape(b, h, w, c))
        return x


class ConvMLP(nn.Module):
    """1x1 to 4c -> GELU -> 3x3 depthwise -> GELU -> 1x1 to c, BatchNorm after each. `(b, h, w, c)` in and out."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(dim, 4 * dim, 1)
        self.bn1 = nn.BatchNorm2d(4 * dim)
        self.act1 = nn.GELU()
        self.dwconv = nn.Conv2d(4 * dim, 4 * dim, 3, padding=1, groups=4 * dim)
        self.bn2 = nn.BatchNorm2d(4 * dim)
        self.act2 = nn.GELU()
        self.fc2 = nn.Conv2d(4 * dim, dim, 1)
        self.bn3 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)  # b h w c -> b c h w
        x = self.act1(self.bn1(self.fc1(x)))
        x = self.act2(self.bn2(self.dwconv(x)))
        x = self.bn3(self.fc2(x))
        return x.permute(0, 2, 3, 1)


class Block(nn.Module):
    """LayerNorm -> attention, LayerNorm -> MLP, each with a shortcut. `(b, h, w, c)` in and out."""

    def __init__(self, dim: int, heads: int, *, positions: int, conv_mlp: bool, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads, positions)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp: nn.Module = ConvMLP(dim) if conv_mlp else Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x


class Pool(nn.Module):
    """3x3 depthwise convolution with stride 2. `(b, c, h, w) -> (b, n c, h / 2, w / 2)`."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, 3, stride=2, padding=1, groups=cin)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x


class RVT(Backbone):
    """Stem, stages of blocks with pooling between them, average pool, LayerNorm, linear classifier."""

    classifier_name = "head"
    head_modules = ("norm", "head")

    def __init__(self, config: RVTConfig) -> None:
        super().__init__(config)
        self.image_size = config.image_size
        self.has_one_size = config.scaled_blocks > 0
        dims = [config.head_dim * heads for heads in config.heads]
        positions = (config.image_size // _PATCH) ** 2
        self.patch_embed = PatchEmbed(config.in_chans, dims[0])
        self.transformers = nn.ModuleList()
        self.pools = nn.ModuleList()
        rates = drop_path_rates(config.drop_path_rate, config.depths)
        for stage, (dim, heads) in enumerate(zip(dims, config.heads, strict=True)):
            blocks = [
                Block(
                    dim,
                    heads,
                    positions=positions if stage == 0 and index < config.scaled_blocks else 0,
                    conv_mlp=config.conv_mlp,
                    drop_path=rate,
                )
                for index, rate in enumerate(rates[stage])
            ]
            self.transformers.append(nn.ModuleDict({"blocks": nn.Sequential(*blocks)}))
            if stage > 0:
                self.pools.append(Pool(dims[stage - 1], dim))
        self.norm = nn.LayerNorm(dims[-1], eps=1e-6)

        self.num_features = dims[-1]
        self.feature_info = FeatureInfo(
            [Feature(dim, _PATCH * 2**stage, f"transformers.{stage}.blocks") for stage, dim in enumerate(dims)]
        )
        self.head = new_classifier(dims[-1], config.num_classes)

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run one stage, including the stem (stage 0) or the pooling before it."""
        if index == 0 and self.has_one_size:
            x = of_size(x, self.image_size, _PATCH)
        x = self.patch_embed(x) if index == 0 else self.pools[index - 1](x)
        x = x.permute(0, 2, 3, 1)  # b c h w -> b h w c
        return self.run_blocks(self.get_submodule(f"transformers.{index}.blocks"), x).permute(0, 3, 1, 2)

    def grid_of(self, size: Size) -> Size:
        def side(pixels: int) -> int:
            positions = ((pixels - 1) // 2 + 1) // 2 // 4  # the stem's two convolutions crop, all else pads
            return -(-positions // (1 << len(self.pools)))

        return side(size[0]), side(size[1])

    def pool(self, x: Tensor) -> Tensor:
        x = self.norm(self.pool_map(x))
        return x

    def stage_modules(self, index: int) -> list[str]:
        return [f"transformers.{index}", "patch_embed" if index == 0 else f"pools.{index - 1}"]

    def group_key(self, name: str) -> GroupKey:
        """The stem; each block, with the pooling before it; the head."""
        module, *rest = name.split(".")
        if module == "transformers":
            return int(rest[0]), int(rest[2])
        if module == "pools":
            return int(rest[0]) + 1, 0
        return STEM if module == "patch_embed" else HEAD


# --- variants -------------------------------------------------------------------------------------------------------
# top-1 from the authors' repository and paper; counts are those of the authors' code. The paper gives 91.8 M for base
# plus, which is the count when all twelve blocks scale attention; in the code five do

_MAO = "Mao et al. 2022"


@register_model(RVT, Published("ours, for tests", image_size=64))
def rvt_test() -> RVTConfig:
    return RVTConfig(image_size=64, depths=(1, 1), heads=(2, 4), head_dim=8)


@register_model(RVT, Published("ours, for tests", image_size=64))
def rvt_plus_test() -> RVTConfig:
    return RVTConfig(image_size=64, depths=(2,), heads=(2,), head_dim=16, scaled_blocks=1, conv_mlp=False)


@register_model(RVT, Published(_MAO, params_m=8.646, gmacs=1.2843, top1=78.4))
def rvt_tiny() -> RVTConfig:
    return RVTConfig(depths=(10, 2), heads=(6, 12), head_dim=32)


@register_model(RVT, Published(_MAO, params_m=22.148, gmacs=4.6452, top1=81.7))
def rvt_small() -> RVTConfig:
    return RVTConfig()


@register_model(RVT, Published(_MAO, params_m=86.224, gmacs=17.4911))
def rvt_base() -> RVTConfig:
    return RVTConfig(heads=(12,), conv_mlp=False)


@register_model(RVT, Published(_MAO, params_m=10.951, gmacs=1.2843, top1=79.2))
def rvt_tiny_plus() -> RVTConfig:
    return RVTConfig(depths=(10, 2), heads=(6, 12), head_dim=32, scaled_blocks=10)


@register_model(RVT, Published(_MAO, params_m=23.301, gmacs=4.6452, top1=81.9))
def rvt_small_plus() -> RVTConfig:
    return RVTConfig(scaled_blocks=5)


@register_model(RVT, Published(_MAO, params_m=88.529, gmacs=17.4911, top1=82.6))
def rvt_base_plus() -> RVTConfig:
    return RVTConfig(heads=(12,), scaled_blocks=5, conv_mlp=False)
