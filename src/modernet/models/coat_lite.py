"""CoaT-Lite.

Xu, Xu, Chang, Tu, "Co-Scale Conv-Attentional Image Transformers", 2021, arXiv 2104.06399.

A pyramid of tokens at four scales, as in a ConvNet. Attention is factorised: keys and values are reduced to one matrix
per head, which every query reads, so the cost is linear in the number of tokens instead of quadratic. The relative
position information this loses is restored by depthwise convolutions over the values, with windows of 3, 5 and 7 for
different heads; further depthwise convolutions over the tokens encode position. The scales run in sequence, each with
its own class token. CoaT (`coat.py`) adds parallel blocks.

    image                                            3 x 224 x 224
    serial_blocks1   patches of 4, norm; blocks     64 x  56 x  56   2 blocks    (CoaT-Lite Tiny)
    serial_blocks2   patches of 2, norm; blocks    128 x  28 x  28   2 blocks
    serial_blocks3   patches of 2, norm; blocks    256 x  14 x  14   2 blocks
    serial_blocks4   patches of 2, norm; blocks    320 x   7 x   7   2 blocks
    head             norm, the last scale's class token, linear -> class scores

Parameter names are those of the authors' code (mlpc-ucsd/CoaT), and timm's. There, every block also lists the position
encodings of its scale, as shared tensors; here they appear once, under the first name. The authors' unused norms
(`norm1`, `norm2`, `norm3`) are omitted, as in timm. Images of any size from 32 pixels work; as in the authors' code,
incomplete patches are cropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from modernet.errors import InputError
from modernet.layers import DropPath, Mlp
from modernet.models.backbone import (
    HEAD,
    STEM,
    Backbone,
    Feature,
    FeatureInfo,
    GlobalPool,
    GroupKey,
    ModelConfig,
    Tokens,
    new_classifier,
)
from modernet.models.entry import Published, register_model


@dataclass(frozen=True, kw_only=True)
class CoaTLiteConfig(ModelConfig):
    """A CoaT-Lite: four scales of serial blocks."""

    drop_path_rate: float = 0.0
    """Stochastic depth, the same in every block, as in the authors' code."""
    global_pool: GlobalPool = "token"
    """`"token"`: the class token. `""` with `num_classes=0` returns all tokens."""
    depths: tuple[int, ...] = (2, 2, 2, 2)
    """Serial blocks per scale."""
    dims: tuple[int, ...] = (64, 128, 256, 320)
    """Channels per scale, multiples of the number of heads."""
    mlp_ratios: tuple[float, ...] = (8.0, 8.0, 4.0, 4.0)
    """Hidden channels of each scale's MLPs, as multiples of `dims`."""
    windows: tuple[int, ...] = (3, 5, 7)
    """Window sizes of the relative position encoding, odd."""
    window_heads: tuple[int, ...] = (2, 3, 3)
    """Attention heads per window size; their sum is the number of heads in every block."""

    pools: ClassVar[tuple[GlobalPool, ...]] = ("token", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, values in (("depths", self.depths), ("dims", self.dims), ("mlp_ratios", self.mlp_ratios)):
            if len(values) != 4 or min(values) <= 0:
                raise InputError(f"{name} is {values}; give four numbers above 0, one for each scale")
        if any(window < 1 or window % 2 == 0 for window in self.windows):
            raise InputError(f"windows is {self.windows}; give odd sizes above 0")
        if len(self.window_heads) != len(self.windows) or min(self.window_heads, default=0) < 1:
            raise InputError(
                f"windows {self.windows} and window_heads {self.window_heads}: give a number of heads for each window"
            )
        if any(dim % sum(self.window_heads) for dim in self.dims):
            raise InputError(f"dims is {self.dims}; give multiples of the {sum(self.window_heads)} heads")


class PatchEmbed(nn.Module):
    """Linear projection of patches, normalised. `(b, cin, h, w) -> (b, h / size, w / size, dim)`."""

    def __init__(self, cin: int, dim: int, size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(cin, dim, size, stride=size)
        self.norm = nn.LayerNorm(dim)  # eps 1e-5 here and 1e-6 elsewhere, as in the authors' code

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.proj(x).permute(0, 2, 3, 1))  # b c h w -> b h w c
        return x


class PositionEncoding(nn.Module):
    """Adds a 3x3 depthwise convolution of the grid to its tokens; the class token stays. `(b, 1 + h w, c)`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        y: Tensor = self.proj(Tokens(x, grid).as_map())
        x = x + F.pad(y.flatten(2).transpose(1, 2), (0, 0, 1, 0))  # b c h w -> b 1+t c
        return x


class RelativePositionEncoding(nn.Module):
    """Queries times depthwise convolutions of the values, with one window size per group of heads (section 3.2)."""

    def __init__(self, dim: int, windows: Sequence[int], window_heads: Sequence[int]) -> None:
        super().__init__()
        head_dim = dim // sum(window_heads)
        self.channels = [heads * head_dim for heads in window_heads]
        self.conv_list = nn.ModuleList(
            nn.Conv2d(channels, channels, window, padding=window // 2, groups=channels)
            for channels, window in zip(self.channels, windows, strict=True)
        )

    def forward(self, q: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the encoding of queries and values `(b, heads, 1 + h w, d)`, same shape; zero for the class token."""
        b, heads, _, d = q.shape
        maps = v[:, :, 1:].transpose(2, 3).reshape(b, heads * d, *grid)  # b heads t d -> b c h w
        parts = maps.split_with_sizes(self.channels, dim=1)
        maps = torch.cat([conv(parts[index]) for index, conv in enumerate(self.conv_list)], dim=1)
        encoding = maps.reshape(b, heads, d, -1).transpose(2, 3)  # b c h w -> b heads t d
        return F.pad(q[:, :, 1:] * encoding, (0, 0, 1, 0))


class FactorisedAttention(nn.Module):
    """scale Q (softmax(K)^T V) + the relative position encoding of Q and V (equation 8). `(b, 1 + h w, c)`."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, grid: tuple[int, int], relative: nn.Module) -> Tensor:
        b, t, c = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind()  # b heads t d
        context = k.softmax(dim=2).transpose(2, 3) @ v  # over the tokens; b heads d d
        y = q.shape[3] ** -0.5 * (q @ context) + relative(q, v, grid)
        x = self.proj(y.transpose(1, 2).reshape(b, t, c))  # b heads t d -> b t c
        return x


class SerialBlock(nn.Module):
    """Position encoding; attention and MLP, each after a norm and with a shortcut. `(b, 1 + h w, c)` in and out.

    The two position encodings belong to the scale and are shared by its blocks.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, *, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.factoratt_crpe = FactorisedAttention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, grid: tuple[int, int], position: nn.Module, relative: nn.Module) -> Tensor:
        x = position(x, grid)
        x = x + self.drop_path(self.factoratt_crpe(self.norm1(x), grid, relative))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x


class CoaTLite(Backbone):
    """Four scales of serial blocks, each with a class token; the last class token goes to the linear classifier."""

    classifier_name = "head"
    head_modules: ClassVar[tuple[str, ...]] = ("norm4", "head")
    final_norms: ClassVar[tuple[str, ...]] = ("norm4",)
    num_prefix_tokens = 1
    crops_edges = True
    undecayed = ("cls_token1", "cls_token2", "cls_token3", "cls_token4")

    def __init__(self, config: CoaTLiteConfig) -> None:
        super().__init__(config)
        heads, rate = sum(config.window_heads), config.drop_path_rate
        features = []
        cin = config.in_chans
        for index, (depth, dim, ratio) in enumerate(zip(config.depths, config.dims, config.mlp_ratios, strict=True)):
            scale = index + 1
            blocks = [SerialBlock(dim, heads, ratio, drop_path=rate) for _ in range(depth)]
            self.register_parameter(f"cls_token{scale}", nn.Parameter(torch.empty(1, 1, dim)))
            nn.init.trunc_normal_(self.get_parameter(f"cls_token{scale}"), std=0.02)
            self.add_module(f"patch_embed{scale}", PatchEmbed(cin, dim, 4 if index == 0 else 2))
            self.add_module(f"cpe{scale}", PositionEncoding(dim))
            self.add_module(f"crpe{scale}", RelativePositionEncoding(dim, config.windows, config.window_heads))
            self.add_module(f"serial_blocks{scale}", nn.ModuleList(blocks))
            features.append(Feature(dim, 4 * 2**index, f"serial_blocks{scale}.{depth - 1}"))
            cin = dim
        self.norm4 = nn.LayerNorm(cin, eps=1e-6)

        self.num_features = cin
        self.feature_info = FeatureInfo(features)
        self.apply(init_linear)
        self.head = new_classifier(cin, config.num_classes)

    def stage_modules(self, index: int) -> list[str]:
        return [f"{part}{index + 1}" for part in ("cls_token", "patch_embed", "cpe", "crpe", "serial_blocks")]

    def forward_stage(self, index: int, x: Any) -> Any:
        """Run one scale. Stage 0 takes images, the others tokens; all return tokens, the class token first."""
        scale = index + 1
        patches: Tensor = self.get_submodule(f"patch_embed{scale}")(x if index == 0 else x.as_map())
        grid = (patches.shape[1], patches.shape[2])
        token = getattr(self, f"cls_token{scale}").expand(patches.shape[0], -1, -1)
        tokens = torch.cat([token, patches.flatten(1, 2)], dim=1)  # b 1+t c
        position, relative = self.get_submodule(f"cpe{scale}"), self.get_submodule(f"crpe{scale}")
        for block in self.get_submodule(f"serial_blocks{scale}").children():
            tokens = self.run_block(block, tokens, grid, position, relative)
        return Tokens(tokens, grid)

    def feature_map(self, x: Any) -> Tensor:
        y: Tensor = x.as_map()
        return y

    def normed(self, index: int, x: Any) -> Any:
        return Tokens(self.norm4(x.x), x.grid) if index == len(self.feature_info) - 1 else x

    def last_features(self, x: Any) -> Tensor:
        y: Tensor = self.norm4(x.x)
        return y

    def pool(self, x: Tensor) -> Tensor:
        return x[:, 0]  # b t c -> b c

    def group_key(self, name: str) -> GroupKey:
        """The first patch embedding; each serial block, with anything at the start of its scale; the head."""
        module, block, *_ = f"{name}.".split(".")
        if module.startswith("serial_blocks"):
            return int(module[-1]), int(block)
        if module.startswith(("cls_token", "patch_embed", "cpe", "crpe")):
            return STEM if module.endswith("1") else (int(module[-1]), 0)
        return HEAD

    def run_block(self, block: nn.Module, *inputs: Any) -> Any:
        """As `run_blocks`, for a block with several inputs and no BatchNorm."""
        if self._grad_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)


def init_linear(module: nn.Module) -> None:
    """Initialise linear layers as the authors do; convolutions keep torch's default."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


# --- variants -------------------------------------------------------------------------------------------------------
# top-1 from the authors' repository; MACs computed with its definition, some of which the paper rounds up

_XU = "Xu et al. 2021; mlpc-ucsd/CoaT"


@register_model(CoaTLite, Published("ours, for tests", image_size=64))
def coat_lite_test() -> CoaTLiteConfig:
    return CoaTLiteConfig(
        depths=(1, 1, 2, 2),
        dims=(8, 16, 24, 32),
        mlp_ratios=(4.0, 2.0, 2.0, 2.0),
        windows=(3, 5),
        window_heads=(1, 3),
    )


@register_model(CoaTLite, Published(_XU, params_m=5.722, gmacs=1.589, top1=77.5))
def coat_lite_tiny() -> CoaTLiteConfig:
    return CoaTLiteConfig(dims=(64, 128, 256, 320))


@register_model(CoaTLite, Published(_XU, params_m=11.012, gmacs=1.987, top1=79.1))
def coat_lite_mini() -> CoaTLiteConfig:
    return CoaTLiteConfig(dims=(64, 128, 320, 512))


@register_model(CoaTLite, Published(_XU, params_m=19.839, gmacs=3.944, top1=81.9))
def coat_lite_small() -> CoaTLiteConfig:
    return CoaTLiteConfig(depths=(3, 4, 6, 3), dims=(64, 128, 320, 512))


_MEDIUM = CoaTLiteConfig(depths=(3, 6, 10, 8), dims=(128, 256, 320, 512), mlp_ratios=(4.0, 4.0, 4.0, 4.0))


@register_model(CoaTLite, Published(_XU, params_m=44.571, gmacs=9.771, top1=83.6))
def coat_lite_medium() -> CoaTLiteConfig:
    return _MEDIUM


@register_model(CoaTLite, Published(_XU, params_m=44.571, gmacs=28.629, top1=84.5, image_size=384))
def coat_lite_medium_384() -> CoaTLiteConfig:
    return _MEDIUM
