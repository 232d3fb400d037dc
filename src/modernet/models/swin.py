"""Swin Transformer.

Liu, Lin, Cao, Hu, Wei, Zhang, Lin, Guo, "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
2021, arXiv 2103.14030.

The transformer that became a general backbone by reintroducing priors of convolutional networks: attention is limited
to windows of 7 x 7 positions, so its cost is linear in image size instead of quadratic; stages of decreasing
resolution provide the pyramid that detectors need; every other block shifts its windows by half, which connects
neighbouring windows. ConvNeXt approaches this network with convolutions only, and asks what remains of its advantage.

    image 3 x 224 x 224                                       swin_tiny
      4x4 convolution, stride 4, LayerNorm   -> 56 x 56 x 96      block, c channels:
      2 x block, 3 heads                                            LayerNorm -> attention in 7x7 windows -> +
      2x2 patches merged, LayerNorm, linear  -> 28 x 28 x 192       LayerNorm -> c to 4c, GELU, to c      -> +
      2 x block, 6 heads                                          (every second block: windows shifted by 3)
      ... 6 x block at 14 x 14 x 384, 2 x block at 7 x 7 x 768
      LayerNorm -> average pool -> linear -> 1000

Parameter names are those of the paper's code; its index and mask buffers are recomputed. Images of any size work, as in
the paper's detection code: maps are zero-padded to whole windows after the norm, and odd sides before merging. A map
that fits into one window is not shifted. The classification code makes that decision once, for its own image size; at
that size both agree and the scores equal the release's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import DropPath, Mlp, drop_path_rates, pad_to_multiple
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.entry import Published, register_model
from modernet.preparation import ImageSize, as_size


@dataclass(frozen=True, kw_only=True)
class SwinConfig(ModelConfig):
    """A Swin Transformer."""

    depths: tuple[int, ...] = (2, 2, 6, 2)
    """Blocks per stage."""
    dim: int = 96
    """Channels of the first stage; doubles at each stage."""
    heads: tuple[int, ...] = (3, 6, 12, 24)
    """Attention heads per stage."""
    window_size: int = 7
    """Window size in positions."""
    patch_size: int = 4
    """Patch size and stride in pixels."""
    mlp_ratio: float = 4.0
    """Hidden channels of the MLP, as a multiple of its input channels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.depths) != len(self.heads) or min(self.depths, default=0) < 1 or min(self.heads) < 1:
            raise InputError(
                f"depths {self.depths} and heads {self.heads}: give one number above 0 in each for every stage"
            )
        if self.dim < 1 or any(self.dim * 2**stage % heads for stage, heads in enumerate(self.heads)):
            raise InputError(f"dim is {self.dim} and heads {self.heads}; give channels divisible by the heads")
        for name in ("window_size", "patch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.mlp_ratio * self.dim < 1:
            raise InputError(f"mlp_ratio is {self.mlp_ratio}; give a number above 0")


class WindowAttention(nn.Module):
    """Attention within windows, with a learned bias for each relative position.

    `(n, t, windows, c)` in and out, with t positions per window. A mask may differ between windows, not over n.
    """

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window_size: int) -> None:
        super().__init__()
        self.heads = heads
        self.heads_first = False
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window_size - 1) ** 2, heads))
        self.register_buffer("relative_position_index", _offsets(window_size), persistent=False)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attend. `mask` is `(windows, 1, t, t)`, True where a pair may attend; None for all pairs, with 1 window.

        With a mask, windows become additional heads of a single attention call, so that all n share one bias and mask.
        Expanded over n, those would be larger than the queries.
        """
        n, t, windows, c = x.shape
        heads, d = self.heads, c // self.heads
        bias = self.bias()
        if mask is not None:
            bias = bias.masked_fill(~mask, -100.0)  # windows heads t t; -100 is the release's masking value
        qkv = self.qkv(x)
        if self.heads_first:
            q, k, v = qkv.reshape(n, t, windows * heads, 3, d).unbind(3)
        else:
            q, k, v = qkv.reshape(n, t, windows, 3, heads, d).unbind(3)
            q, k, v = (part.flatten(2, 3) for part in (q, k, v))  # copies, if there are several windows
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))  # n (windows heads) t d
        bias = bias.reshape(1, windows * heads, t, t).to(q.dtype)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        y = y.transpose(1, 2)
        if torch.compiler.is_exporting():
            # while torch.onnx decomposes a program, weights require gradients, and attention returns other strides than
            # torch.export saw: without a copy, the reshape below is a view that no longer exists
            y = y.clone(memory_format=torch.contiguous_format)
        x = self.proj(y.reshape(n, t, windows, c))
        return x

    def put_heads_first(self) -> bool:
        """Reorder the outputs of `qkv` from (qkv, head) to (head, qkv), so that windows and heads merge without a copy.

        For inference: the weights are then no longer those of the release, so a buffer that only such networks have
        keeps others from loading them. Return False if they were reordered before, or if `qkv` was replaced by
        something other than a linear layer.
        """
        if self.heads_first or type(self.qkv) is not nn.Linear:
            return False
        with torch.no_grad():
            for parameter in (self.qkv.weight, self.qkv.bias):
                parameter.copy_(parameter.reshape(3, self.heads, -1).transpose(0, 1).reshape(parameter.shape))
        self.heads_first = True
        self.register_buffer("qkv_heads_first", torch.ones((), device=self.qkv.weight.device))
        return True

    def bias(self) -> Tensor:
        """Return the relative position bias of a window, `(1, heads, t, t)`."""
        index = self.relative_position_index
        bias = self.relative_position_bias_table.T.index_select(1, index.flatten())
        return bias.reshape(1, self.heads, *index.shape)


class Block(nn.Module):
    """LayerNorm -> window attention, LayerNorm -> MLP, each with a shortcut. `(b, h, w, c)` in and out."""

    def __init__(
        self, dim: int, heads: int, *, window_size: int, shifted: bool, mlp_ratio: float = 4.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.shift = window_size // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window_size)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(mlp_ratio * dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attend(x))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x

    def attend(self, x: Tensor) -> Tensor:
        """Normalise, partition into windows, attend within each, and reverse. `(b, h, w, c)` in and out."""
        w = self.window_size
        b, height, width, c = x.shape
        x = pad_to_multiple(self.norm1(x), w, channels_last=True)
        rows, columns = x.shape[1] // w, x.shape[2] // w
        if self.shift == 0:
            x = x.reshape(b, rows, w, columns, w, c).transpose(2, 3).reshape(b * rows * columns, w * w, 1, c)
            x = self.attn(x, None)
            x = x.reshape(b, rows, columns, w, w, c).transpose(2, 3).reshape(b, rows * w, columns * w, c)
        else:
            shift = shift_of_map(rows, columns, self.shift)
            x = x.roll((-shift, -shift), (1, 2)).reshape(b, rows, w, columns, w, c)
            x = x.permute(0, 2, 4, 1, 3, 5).reshape(b, w * w, rows * columns, c)
            x = self.attn(x, shift_mask(rows, columns, w, shift, x.device))
            x = x.reshape(b, w, w, rows, columns, c).permute(0, 3, 1, 4, 2, 5)
            x = x.reshape(b, rows * w, columns * w, c).roll((shift, shift), (1, 2))
        return x[:, :height, :width]


# leaf functions of torch.fx: what they do depends on the shape, which is not known when it traces a network


@torch.fx.wrap
def shift_of_map(rows: int, columns: int, shift: int) -> int:
    """Return the shift of a map's windows: 0 if it fits into one."""
    return shift if rows > 1 or columns > 1 else 0


@torch.fx.wrap
def shift_mask(rows: int, columns: int, window_size: int, shift: int, device: torch.device) -> Tensor:
    """Return which pairs in a shifted window are true neighbours, `(rows * columns, 1, t, t)`.

    The cyclic shift wraps the top rows to the bottom and the left columns to the right, so the last windows contain
    unrelated regions of the map. Pairs across such a boundary are False.
    """

    vertical = _same_region(rows, window_size, shift, device)
    horizontal = _same_region(columns, window_size, shift, device)
    mask = vertical[:, None, :, None, :, None] & horizontal[None, :, None, :, None, :]  # rows columns y x y' x'
    return mask.reshape(rows * columns, 1, window_size * window_size, window_size * window_size)


def _same_region(windows: int, window_size: int, shift: int, device: torch.device) -> Tensor:
    """Return the same along one axis, `(windows, window_size, window_size)`: both positions wrapped, or neither."""
    position = torch.arange(windows * window_size, device=device)
    wrapped = (position >= windows * window_size - shift).reshape(windows, window_size)
    return wrapped[:, :, None] == wrapped[:, None, :]


def _offsets(window_size: int) -> Tensor:
    """Return the index into the bias table for each pair of positions in a window, `(t, t)`; row offset major."""
    position = torch.arange(window_size)
    offset = position[:, None] - position[None, :] + window_size - 1  # from 0 to 2 * window_size - 2
    index = offset[:, None, :, None] * (2 * window_size - 1) + offset[None, :, None, :]  # y x y' x'
    return index.reshape(window_size**2, window_size**2)


class PatchEmbed(nn.Module):
    """Patch embedding. `(b, cin, h, w) -> (b, ceil(h / patch), ceil(w / patch), c)`."""

    def __init__(self, cin: int, dim: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(cin, dim, patch_size, patch_size)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(pad_to_multiple(x, self.patch_size))
        x = self.norm(x.permute(0, 2, 3, 1))  # b c h w -> b h w c
        return x


class PatchMerging(nn.Module):
    """Merge 2x2 neighbouring positions into one. `(b, h, w, c) -> (b, ceil(h / 2), ceil(w / 2), 2 c)`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = pad_to_multiple(x, 2, channels_last=True)
        b, height, width, c = x.shape
        x = x.reshape(b, height // 2, 2, width // 2, 2, c)
        x = x.permute(0, 1, 3, 4, 2, 5).flatten(3)  # b h 2 w 2 c -> b h w (column row c)
        x = self.reduction(self.norm(x))
        return x


class Stage(nn.Module):
    """The blocks at one resolution, and the downsampling that the next stage runs first."""

    def __init__(self, blocks: nn.Sequential, downsample: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = blocks
        if downsample is not None:
            self.downsample = downsample


class SwinTransformer(Backbone):
    """Patches, stages of window attention, LayerNorm, average pool, linear classifier. Stages return `(b, h, w, c)`."""

    classifier_name = "head"
    head_modules = ("norm", "head")
    final_norms = ("norm",)
    undecayed = ("relative_position_bias_table",)
    map_norm_eps = 1e-5

    def __init__(self, config: SwinConfig) -> None:
        super().__init__(config)
        self.patch_embed = PatchEmbed(config.in_chans, config.dim, config.patch_size)
        self.layers = nn.ModuleList()
        features = []
        for stage, rates in enumerate(drop_path_rates(config.drop_path_rate, config.depths)):
            dim = config.dim * 2**stage
            blocks = nn.Sequential(
                *[
                    Block(
                        dim,
                        config.heads[stage],
                        window_size=config.window_size,
                        shifted=index % 2 == 1,
                        mlp_ratio=config.mlp_ratio,
                        drop_path=rate,
                    )
                    for index, rate in enumerate(rates)
                ]
            )
            last = stage == len(config.depths) - 1
            self.layers.append(Stage(blocks, None if last else PatchMerging(dim)))
            features.append(Feature(dim, config.patch_size * 2**stage, f"layers.{stage}.blocks"))
        self.embed_dim = config.dim
        self.num_features = features[-1].num_chs
        self.norm = nn.LayerNorm(self.num_features)
        self.feature_info = FeatureInfo(features)
        self.apply(_init)
        self.head = new_classifier(self.num_features, config.num_classes)

    def stage_modules(self, index: int) -> list[str]:
        first = "patch_embed" if index == 0 else f"layers.{index - 1}.downsample"
        return [first, f"layers.{index}.blocks"]

    def set_input_size(self, img_size: ImageSize) -> None:
        """Say in `pretrained_cfg` for which images the network is now; nothing else depends on their size."""
        self.note_input_size(as_size(img_size))

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run the patch embedding (stage 0) or patch merging, then the blocks. Returns `(b, h, w, c)`."""
        x = self.get_submodule(self.stage_modules(index)[0])(x)
        return self.run_blocks(self.get_submodule(f"layers.{index}.blocks"), x)

    def feature_map(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)  # b h w c -> b c h w

    def normed(self, index: int, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x) if index == len(self.feature_info) - 1 else x
        return y

    def pool(self, x: Tensor) -> Tensor:
        return self.pool_map(x)

    def group_key(self, name: str) -> GroupKey:
        """The patch embedding; each block, with the patch merging before it; the final norm and the head."""
        module, *rest = name.split(".")
        if module == "layers":
            return (int(rest[0]), int(rest[2])) if rest[1] == "blocks" else (int(rest[0]) + 1, 0)
        return STEM if module == "patch_embed" else HEAD


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# --- variants -------------------------------------------------------------------------------------------------------

_LIU = "Liu et al. 2021, as in ConvNeXt's table 1"
_LARGE = "Liu et al. 2021"  # published for ImageNet-22K pre-training only


@register_model(SwinTransformer, Published("ours, for tests", image_size=64))
def swin_test() -> SwinConfig:
    return SwinConfig(depths=(2, 2), dim=24, heads=(1, 2), window_size=4)


@register_model(SwinTransformer, Published(_LIU, params_m=28.288, gmacs=4.4906, top1=81.3))
def swin_tiny() -> SwinConfig:
    return SwinConfig()


@register_model(SwinTransformer, Published(_LIU, params_m=49.606, gmacs=8.7409, top1=83.0))
def swin_small() -> SwinConfig:
    return SwinConfig(depths=(2, 2, 18, 2))


@register_model(SwinTransformer, Published(_LIU, params_m=87.768, gmacs=15.4309, top1=83.5))
def swin_base() -> SwinConfig:
    return SwinConfig(depths=(2, 2, 18, 2), dim=128, heads=(4, 8, 16, 32))


@register_model(SwinTransformer, Published(_LIU, params_m=87.904, gmacs=47.0831, top1=84.5, image_size=384))
def swin_base_384() -> SwinConfig:
    return SwinConfig(depths=(2, 2, 18, 2), dim=128, heads=(4, 8, 16, 32), window_size=12)


@register_model(SwinTransformer, Published(_LARGE, params_m=196.532, gmacs=34.4758))
def swin_large() -> SwinConfig:
    return SwinConfig(depths=(2, 2, 18, 2), dim=192, heads=(6, 12, 24, 48))


@register_model(SwinTransformer, Published(_LARGE, params_m=196.736, gmacs=103.9191, image_size=384))
def swin_large_384() -> SwinConfig:
    return SwinConfig(depths=(2, 2, 18, 2), dim=192, heads=(6, 12, 24, 48), window_size=12)
