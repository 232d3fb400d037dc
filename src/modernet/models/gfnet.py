"""GFNet.

Rao, Zhao, Zhu, Lu, Zhou, "Global Filter Networks for Image Classification", 2021, arXiv 2107.00645.

A Vision Transformer whose attention is replaced by the oldest way to let every position see every other: the Fourier
transform. The grid of tokens is transformed, every frequency of every channel is multiplied by a learnt complex number,
and the product is transformed back. That is a depthwise convolution with a kernel as large as the image, which wraps
around at its edges, for n log n operations instead of the n^2 of attention.

    image 3 x 224 x 224                                  gfnet_small
      16x16 patches + position embedding   -> 384 x 14 x 14    block, c channels:
      19 x block                           -> 384 x 14 x 14      LayerNorm -> FFT -> times a filter -> inverse FFT
      LayerNorm -> average pool -> linear -> 1000                LayerNorm -> linear to 4c -> GELU -> linear to c -> +

    gfnet_h_small: 4x4 patches, stages at 56, 28, 14 and 7, 2x2 convolutions with stride 2 between them, layer scale

Parameter names are those of the authors' code (raoyongming/GFNet). Its networks take one size; here the filters and the
position embeddings are resampled for other grids, filters by bicubic interpolation of their frequencies, as the authors
do for fine-tuning at 384. Images and grids are padded with zeros at the right and the bottom to whole patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import DropPath, Mlp, drop_path_rates, resample_position_embedding
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, ModelConfig, Place, new_classifier
from modernet.models.entry import Published, register_model


@dataclass(frozen=True, kw_only=True)
class GFNetConfig(ModelConfig):
    """A GFNet of one grid."""

    image_size: int = 224
    """Side in pixels of the square image that filters and position embeddings are made for; others are resampled."""
    patch_size: int = 16
    """Side of a patch in pixels."""
    dim: int = 384
    """Channels of a token."""
    depth: int = 19
    """Blocks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("patch_size", "dim", "depth"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.image_size < 1 or self.image_size % self.patch_size:
            raise InputError(
                f"image_size is {self.image_size} and patch_size {self.patch_size}; give a multiple of the patch size"
            )


@dataclass(frozen=True, kw_only=True)
class GFNetPyramidConfig(ModelConfig):
    """A GFNet of four grids, each half as fine as the one before."""

    image_size: int = 224
    """Side in pixels of the square image that filters and position embeddings are made for; others are resampled."""
    dims: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of each stage."""
    depths: tuple[int, ...] = (3, 3, 10, 3)
    """Blocks of each stage."""
    layer_scale_init: float = 1e-3
    """Where every entry of `gamma` starts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.depths) != len(self.dims) or min((*self.depths, *self.dims), default=0) < 1:
            raise InputError(
                f"depths {self.depths} and dims {self.dims}: give one number above 0 in each for every stage"
            )
        coarsest = 4 * 2 ** (len(self.dims) - 1)
        if self.image_size < 1 or self.image_size % coarsest:
            raise InputError(f"image_size is {self.image_size}; give a multiple of {coarsest}")
        if self.layer_scale_init <= 0:
            raise InputError(f"layer_scale_init is {self.layer_scale_init}; give a number above 0")


class GlobalFilter(nn.Module):
    """Circular convolution with a kernel as large as the grid, by the Fourier transform. `(b, h, w, c)` in and out.

    `complex_weight` is the transform of the kernel times the root of the grid's size, `(h, w / 2 + 1, c, 2)`: real and
    imaginary part of the frequencies that a real image needs.
    """

    def __init__(self, dim: int, side: int) -> None:
        super().__init__()
        self.complex_weight = nn.Parameter(0.02 * torch.randn(side, side // 2 + 1, dim, 2))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        weight = resample_filter(self.complex_weight, height, width // 2 + 1).float()
        spectrum = torch.fft.rfft2(x.float(), dim=(1, 2), norm="ortho")
        product = spectrum * torch.view_as_complex(weight.contiguous())
        y: Tensor = torch.fft.irfft2(product, s=(height, width), dim=(1, 2), norm="ortho")
        return y.to(x.dtype)


class Block(nn.Module):
    """LayerNorm -> filter -> LayerNorm -> MLP, scaled, and one shortcut around all. `(b, h, w, c)` in and out."""

    def __init__(self, dim: int, side: int, *, drop_path: float, layer_scale_init: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.filter = GlobalFilter(dim, side)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.gamma = nn.Parameter(torch.full((dim,), layer_scale_init)) if layer_scale_init > 0 else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.mlp(self.norm2(self.filter(self.norm1(x))))
        y = y if self.gamma is None else self.gamma * y
        x = x + self.drop_path(y)
        return x


class Patches(nn.Module):
    """A convolution whose stride is its kernel size; the borders are padded to whole patches. `-> (b, h, w, c)`."""

    def __init__(self, cin: int, cout: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(cin, cout, patch_size, patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """`(b, cin, h, w) -> (b, h / patch, w / patch, cout)`, rounded up."""
        below, right = (-side % self.patch_size for side in x.shape[2:])
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        x = self.proj(x)
        return x.permute(0, 2, 3, 1)


class _FilterNetwork(Backbone):
    """What both kinds share: stages hand on `(b, h, w, c)`, and end in a LayerNorm, a mean and a linear classifier."""

    classifier_name = "head"
    head_modules = ("norm", "head")
    undecayed = ("pos_embed",)
    norm: nn.LayerNorm
    pos_embed: nn.Parameter
    _side: int

    def feature_map(self, x: Any) -> Tensor:
        y: Tensor = x.permute(0, 3, 1, 2)
        return y

    def last_features(self, x: Any) -> Tensor:
        y: Tensor = self.norm(x).permute(0, 3, 1, 2)
        return y

    def pool(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def _with_positions(self, x: Tensor) -> Tensor:
        grid = (x.shape[1], x.shape[2])
        positions = resample_position_embedding(self.pos_embed, (self._side, self._side), grid, 0)
        return x + positions.reshape(1, *grid, -1)

    def _finish(self, dim: int, first_dim: int, num_classes: int) -> None:
        """The head, the position embeddings and the first values of linear layers."""
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pos_embed = nn.Parameter(nn.init.trunc_normal_(torch.zeros(1, self._side**2, first_dim), std=0.02))
        self.num_features = dim
        self.apply(_init)
        self.head = new_classifier(dim, num_classes)


class GFNet(_FilterNetwork):
    """Patches, blocks on one grid, LayerNorm, average pool, linear classifier."""

    def __init__(self, config: GFNetConfig) -> None:
        super().__init__(config)
        self._side = config.image_size // config.patch_size
        (rates,) = drop_path_rates(config.drop_path_rate, (config.depth,))
        self.patch_embed = Patches(config.in_chans, config.dim, config.patch_size)
        self.blocks = nn.ModuleList(Block(config.dim, self._side, drop_path=rate) for rate in rates)
        self.feature_info = FeatureInfo(
            [Feature(config.dim, config.patch_size, f"blocks.{index}") for index in range(config.depth)]
        )
        self._finish(config.dim, config.dim, config.num_classes)

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """A block; patches and position embeddings go with the first."""
        if index == 0:
            x = self._with_positions(self.patch_embed(x))
        return self.run_blocks(self.blocks[index], x)

    def layer_place(self, name: str) -> Place:
        """The embeddings; then every block; then the last norm and the head."""
        module, *rest = name.split(".")
        if module in ("patch_embed", "pos_embed"):
            return STEM
        return (int(rest[0]),) if module == "blocks" else HEAD


class GFNetPyramid(_FilterNetwork):
    """Patches, stages of blocks with 2x2 convolutions between them, LayerNorm, average pool, linear classifier."""

    def __init__(self, config: GFNetPyramidConfig) -> None:
        super().__init__(config)
        dims = config.dims
        self._side = config.image_size // 4
        self.patch_embed = nn.ModuleList(
            [Patches(config.in_chans, dims[0], 4), *(Patches(cin, cout, 2) for cin, cout in pairwise(dims))]
        )
        rates = drop_path_rates(config.drop_path_rate, config.depths)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *[
                    Block(dim, self._side // 2**stage, drop_path=rate, layer_scale_init=config.layer_scale_init)
                    for rate in rates[stage]
                ]
            )
            for stage, dim in enumerate(dims)
        )
        self.feature_info = FeatureInfo(
            [Feature(dim, 4 * 2**stage, f"blocks.{stage}") for stage, dim in enumerate(dims)]
        )
        self._finish(dims[-1], dims[0], config.num_classes)

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Each stage begins with its patches; position embeddings go with the first."""
        if index == 0:
            x = self._with_positions(self.patch_embed[0](x))
        else:
            x = self.patch_embed[index](x.permute(0, 3, 1, 2))  # b h w c -> b c h w
        return self.run_blocks(self.blocks[index], x)

    def stage_modules(self, index: int) -> list[str]:
        return [f"blocks.{index}", f"patch_embed.{index}"]

    def layer_place(self, name: str) -> Place:
        """The first patches; every block, a 2x2 convolution going with the block after it; the head."""
        module, *rest = name.split(".")
        if module == "blocks":
            return int(rest[0]), int(rest[1])
        if module == "patch_embed" and rest[0] != "0":
            return int(rest[0]), 0
        return STEM if module in ("patch_embed", "pos_embed") else HEAD


def resample_filter(weight: Tensor, height: int, width: int) -> Tensor:
    """A filter `(h, w, c, 2)` for other frequencies `(height, width)`: bicubic, from corner to corner."""
    if weight.shape[:2] == (height, width):
        return weight
    grid = weight.flatten(2).permute(2, 0, 1)[None].float()  # h w c 2 -> 1 2c h w
    grid = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=True)
    return grid[0].permute(1, 2, 0).reshape(height, width, *weight.shape[2:]).to(weight.dtype)


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


# --- variants -------------------------------------------------------------------------------------------------------
# Counts are those of the authors' code, without the Fourier transforms and the products with the filters. Drop path and
# the first layer scale are theirs as well.

_RAO = "Rao et al. 2021"


@register_model(GFNet, Published("ours, for tests", image_size=64))
def gfnet_test() -> GFNetConfig:
    return GFNetConfig(image_size=64, dim=32, depth=2)


@register_model(GFNetPyramid, Published("ours, for tests", image_size=64))
def gfnet_h_test() -> GFNetPyramidConfig:
    return GFNetPyramidConfig(image_size=64, dims=(8, 16, 24, 32), depths=(1, 1, 2, 1))


@register_model(GFNet, Published(_RAO, params_m=7.512, gmacs=1.272, top1=74.6))
def gfnet_tiny() -> GFNetConfig:
    return GFNetConfig(dim=256, depth=12)


@register_model(GFNet, Published(_RAO, params_m=15.986, gmacs=2.833, top1=78.6))
def gfnet_xs() -> GFNetConfig:
    return GFNetConfig(dim=384, depth=12)


@register_model(GFNet, Published(_RAO, params_m=24.870, gmacs=4.451, top1=80.0))
def gfnet_small() -> GFNetConfig:
    return GFNetConfig(dim=384, depth=19)


@register_model(GFNet, Published(_RAO, params_m=43.121, gmacs=7.887, top1=80.7))
def gfnet_base() -> GFNetConfig:
    return GFNetConfig(dim=512, depth=19)


@register_model(GFNetPyramid, Published(_RAO, params_m=15.085, gmacs=2.040, top1=80.1))
def gfnet_h_tiny() -> GFNetPyramidConfig:
    return GFNetPyramidConfig(drop_path_rate=0.1)


@register_model(GFNetPyramid, Published(_RAO, params_m=32.163, gmacs=4.582, top1=81.5))
def gfnet_h_small() -> GFNetPyramidConfig:
    return GFNetPyramidConfig(dims=(96, 192, 384, 768), drop_path_rate=0.2, layer_scale_init=1e-5)


@register_model(GFNetPyramid, Published(_RAO, params_m=53.744, gmacs=8.512, top1=82.9))
def gfnet_h_base() -> GFNetPyramidConfig:
    return GFNetPyramidConfig(dims=(96, 192, 384, 768), depths=(3, 3, 27, 3), drop_path_rate=0.4, layer_scale_init=1e-6)
