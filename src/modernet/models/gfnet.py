"""GFNet.

Rao, Zhao, Zhu, Lu, Zhou, "Global Filter Networks for Image Classification", 2021, arXiv 2107.00645.

A Vision Transformer whose attention is replaced by the oldest form of global mixing, the Fourier transform. The grid of
tokens is transformed, each frequency of each channel is multiplied by a learned complex weight, and the product is
transformed back. This is a depthwise circular convolution with a kernel as large as the image, at a cost of n log n
instead of attention's n^2.

    image 3 x 224 x 224                                  gfnet_small
      16x16 patches + position embedding   -> 384 x 14 x 14    block, c channels:
      19 x block                           -> 384 x 14 x 14      LayerNorm -> FFT -> times a filter -> inverse FFT
      LayerNorm -> average pool -> linear -> 1000                LayerNorm -> linear to 4c -> GELU -> linear to c -> +

    gfnet_h_small: 4x4 patches, stages at 56, 28, 14 and 7, 2x2 convolutions with stride 2 between them, layer scale

Parameter names are those of the authors' code (raoyongming/GFNet). Their networks take one size; here the filters and
position embeddings are resampled for other grids, filters by bicubic interpolation of their frequencies, as the authors
do for fine-tuning at 384. Images and grids are zero-padded at the right and bottom to whole patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import DropPath, Mlp, drop_path_rates, pad_to_multiple, resample_position_embedding
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.entry import Published, register_model


@dataclass(frozen=True, kw_only=True)
class GFNetConfig(ModelConfig):
    """A GFNet with a single resolution."""

    image_size: int = 224
    """Image size in pixels that filters and position embeddings are made for; other sizes resample them."""
    patch_size: int = 16
    """Patch size in pixels."""
    dim: int = 384
    """Channels per token."""
    depth: int = 19
    """Number of blocks."""

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
    """A hierarchical GFNet: four stages, each at half the previous resolution."""

    image_size: int = 224
    """Image size in pixels that filters and position embeddings are made for; other sizes resample them."""
    dims: tuple[int, ...] = (64, 128, 256, 512)
    """Channels per stage."""
    depths: tuple[int, ...] = (3, 3, 10, 3)
    """Blocks per stage."""
    layer_scale_init: float = 1e-3
    """Initial value of layer scale (`gamma`)."""

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
    """Circular convolution with a kernel as large as the grid, computed by FFT. `(b, h, w, c)` in and out.

    `complex_weight` `(h, w / 2 + 1, c, 2)` is the real FFT of the kernel times the square root of the grid size, as
    real and imaginary parts.
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
    """LayerNorm -> filter -> LayerNorm -> MLP, scaled, with a single shortcut. `(b, h, w, c)` in and out."""

    def __init__(self, dim: int, side: int, *, drop_path: float, layer_scale_init: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.filter = GlobalFilter(dim, side)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.gamma = nn.Parameter(torch.full((dim,), float(layer_scale_init))) if layer_scale_init > 0 else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.mlp(self.norm2(self.filter(self.norm1(x))))
        y = y if self.gamma is None else self.gamma * y
        x = x + self.drop_path(y)
        return x


class Patches(nn.Module):
    """Patch embedding by a convolution whose stride is its kernel size; pads to whole patches."""

    def __init__(self, cin: int, cout: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(cin, cout, patch_size, patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """`(b, cin, h, w) -> (b, ceil(h / patch), ceil(w / patch), cout)`."""
        x = self.proj(pad_to_multiple(x, self.patch_size))
        return x.permute(0, 2, 3, 1)


class _FilterNetwork(Backbone):
    """Common base: stages return `(b, h, w, c)`; LayerNorm, average pool and linear classifier follow."""

    classifier_name = "head"
    head_modules = ("norm", "head")
    final_norms = ("norm",)
    undecayed = ("pos_embed",)
    norm: nn.LayerNorm
    pos_embed: nn.Parameter
    _side: int

    def feature_map(self, x: Any) -> Tensor:
        y: Tensor = x.permute(0, 3, 1, 2)
        return y

    def normed(self, index: int, x: Any) -> Any:
        return self.norm(x) if self.feature_info.channels(index) == self.feature_info.channels(-1) else x

    def pool(self, x: Tensor) -> Tensor:
        return self.pool_map(x)

    def _with_positions(self, x: Tensor) -> Tensor:
        grid = (x.shape[1], x.shape[2])
        positions = resample_position_embedding(self.pos_embed, (self._side, self._side), grid, 0)
        return x + positions.reshape(1, *grid, -1)

    def _finish(self, dim: int, first_dim: int, num_classes: int) -> None:
        """Create the head and the position embeddings, and initialise linear layers."""
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
        """Run one block; stage 0 includes patch and position embeddings."""
        if index == 0:
            x = self._with_positions(self.patch_embed(x))
        return self.run_blocks(self.blocks[index], x)

    def group_key(self, name: str) -> GroupKey:
        """The embeddings; each block; the final norm and the head."""
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
        """Run a patch embedding (stage 0 adds position embeddings), then the blocks."""
        if index == 0:
            x = self._with_positions(self.patch_embed[0](x))
        else:
            x = self.patch_embed[index](x.permute(0, 3, 1, 2))  # b h w c -> b c h w
        return self.run_blocks(self.blocks[index], x)

    def stage_modules(self, index: int) -> list[str]:
        return [f"blocks.{index}", f"patch_embed.{index}"]

    def group_key(self, name: str) -> GroupKey:
        """The first patch embedding; each block, with the 2x2 convolution before it; the head."""
        module, *rest = name.split(".")
        if module == "blocks":
            return int(rest[0]), int(rest[1])
        if module == "patch_embed" and rest[0] != "0":
            return int(rest[0]), 0
        return STEM if module in ("patch_embed", "pos_embed") else HEAD


@torch.fx.wrap  # the condition depends on the shape, which is not known when torch.fx traces a network
def resample_filter(weight: Tensor, height: int, width: int) -> Tensor:
    """Resample a filter `(h, w, c, 2)` to other frequencies `(height, width)`: bicubic, corners aligned."""
    if weight.shape[:2] == (height, width):
        return weight
    grid = weight.flatten(2).permute(2, 0, 1)[None].float()  # h w c 2 -> 1 2c h w
    grid = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=True)
    return grid[0].permute(1, 2, 0).reshape(height, width, -1, 2).to(weight.dtype)


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


# --- variants -------------------------------------------------------------------------------------------------------
# Counts are those of the authors' code, which excludes the FFTs and the products with the filters. Drop path and the
# initial layer scale are theirs as well.

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
