"""Vision Transformer and DeiT.

Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", 2020, arXiv
2010.11929.
Touvron, Cord, Douze, Massa, Sablayrolles, Jegou, "Training data-efficient image transformers & distillation through
attention", 2020, arXiv 2012.12877.

The image is cut into patches, each patch becomes a token, and a standard text transformer does the rest: in every
block all tokens attend to all others, at one resolution from first layer to last. Only the patch embedding knows that
an image has two dimensions. Pre-trained on Google's data it beat ResNets; DeiT showed that ImageNet-1K suffices with
strong regularisation (RandAugment, mixup, cutmix, stochastic depth), the recipe that the first step of the road gives
to a ResNet. The distilled DeiT has a second token whose head learns from a teacher.

    image 3 x 224 x 224                                            deit_small
      16x16 patches -> 14 x 14 tokens of 384, a class token in front, position embeddings added
      12 x [ LayerNorm -> attention over 197 tokens, 6 heads -> + ]
           [ LayerNorm -> 384 -> 1536, GELU -> 384            -> + ]
      LayerNorm -> class token (or the mean of the patches) -> linear -> 1000

Parameter names are those of the DeiT release, which are timm's. With `global_pool="avg"` the norm comes after
the mean and is called `fc_norm`, as in MAE's fine-tuning. Images of any size work: the position embeddings are
resampled, and sides that are not a multiple of the patch size are zero-padded at the right and bottom. Distillation
needs the scores of both heads separately; here their mean is returned, as the release does in evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import DropPath, Mlp, drop_path_rates, pad_to_multiple, resample_position_embedding
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
from modernet.preparation import ImageSize, as_size


@dataclass(frozen=True, kw_only=True)
class ViTConfig(ModelConfig):
    """A Vision Transformer."""

    image_size: int = 224
    """Image size in pixels that the position embeddings are made for; other sizes resample them."""
    patch_size: int = 16
    """Patch size in pixels."""
    dim: int = 768
    """Channels per token."""
    depth: int = 12
    """Number of blocks."""
    heads: int = 12
    """Attention heads; must divide `dim`."""
    mlp_ratio: float = 4.0
    """Hidden channels of the MLP, as a multiple of `dim`."""
    global_pool: GlobalPool = "token"

    pools: ClassVar[tuple[GlobalPool, ...]] = ("token", "avg", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("image_size", "patch_size", "depth", "heads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.image_size % self.patch_size:
            raise InputError(
                f"image_size is {self.image_size} and patch_size {self.patch_size}; give a multiple of the patch size"
            )
        if self.dim < 1 or self.dim % self.heads:
            raise InputError(f"dim is {self.dim} and heads {self.heads}; give a multiple of the heads")
        if self.mlp_ratio * self.dim < 1:
            raise InputError(f"mlp_ratio is {self.mlp_ratio}; give a number above 0")


@dataclass(frozen=True, kw_only=True)
class DistilledViTConfig(ViTConfig):
    """A Vision Transformer with a distillation token and head, which learn from a teacher."""

    pools: ClassVar[tuple[GlobalPool, ...]] = ("token", "")


class Attention(nn.Module):
    """Multi-head self-attention. `(b, t, c)` in and out."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, c // self.heads).unbind(2)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))  # b t heads d -> b heads t d
        y = F.scaled_dot_product_attention(q, k, v)
        x = self.proj(y.transpose(1, 2).reshape(b, t, c))  # b heads t d -> b t c
        return x


class Block(nn.Module):
    """LayerNorm -> attention, LayerNorm -> MLP, each with a shortcut. `(b, t, c)` in and out."""

    def __init__(self, dim: int, heads: int, *, mlp_ratio: float = 4.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(mlp_ratio * dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x


class PatchEmbed(nn.Module):
    """Patch embedding. `(b, cin, h, w) -> (b, c, ceil(h / patch), ceil(w / patch))`.

    Args:
        grid_size: rows and columns of patches that the network is made for.
    """

    def __init__(self, cin: int, dim: int, patch_size: int, grid_size: tuple[int, int]) -> None:
        super().__init__()
        self.grid_size = grid_size
        self.patch_size = patch_size
        self.proj = nn.Conv2d(cin, dim, patch_size, patch_size)

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(pad_to_multiple(x, self.patch_size))
        return x


class VisionTransformer(Backbone):
    """Patches, blocks at one resolution, class token or mean, linear classifier. One feature map per block."""

    classifier_name = "head"
    head_modules: ClassVar[tuple[str, ...]] = ("norm", "fc_norm", "head")
    final_norms = ("norm",)
    undecayed = ("cls_token", "dist_token", "pos_embed")
    num_prefix_tokens = 1

    def __init__(self, config: ViTConfig) -> None:
        super().__init__(config)
        dim, side = config.dim, config.image_size // config.patch_size
        self.patch_embed = PatchEmbed(config.in_chans, dim, config.patch_size, (side, side))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, self.num_prefix_tokens + side**2, dim))
        (rates,) = drop_path_rates(config.drop_path_rate, [config.depth])
        self.blocks = nn.ModuleList(
            Block(dim, config.heads, mlp_ratio=config.mlp_ratio, drop_path=rate) for rate in rates
        )
        averaged = config.global_pool == "avg"
        self.norm = nn.Identity() if averaged else nn.LayerNorm(dim, eps=1e-6)
        self.fc_norm = nn.LayerNorm(dim, eps=1e-6) if averaged else nn.Identity()

        self.num_features = self.embed_dim = dim
        self.feature_info = FeatureInfo(
            [Feature(dim, config.patch_size, f"blocks.{index}") for index in range(config.depth)]
        )
        self.apply(_init)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.head = new_classifier(dim, config.num_classes)

    def forward_stage(self, index: int, x: Any) -> Tokens:
        """Run one block. Stage 0 takes images, and embeds patches and positions; the others take tokens."""
        tokens = self.embed(x) if index == 0 else x
        return Tokens(self.run_blocks(self.blocks[index], tokens.x), tokens.grid)

    def set_input_size(self, img_size: ImageSize) -> None:
        """Resample the position embeddings once for images of another size, `(h, w)` or the side of a square.

        Without it they are resampled in every pass over such images.
        """
        size = as_size(img_size)
        with torch.no_grad():
            positions = self.positions(self.grid_of(size))
        self.pos_embed = nn.Parameter(positions, self.pos_embed.requires_grad)
        self.patch_embed.grid_size = self.grid_of(size)
        self.note_input_size(size)

    def embed(self, images: Tensor) -> Tokens:
        """Return the input tokens of the first block, with position embeddings, for images `(b, in_chans, h, w)`."""
        x = self.patch_embed(images)
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)  # b c h w -> b hw c
        x = torch.cat([self.prefix_tokens().expand(x.shape[0], -1, -1), x], dim=1)
        return Tokens(x + self.positions(grid), grid)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Return the position embeddings of a grid, `(1, num_prefix_tokens + h * w, c)`."""
        return resample_position_embedding(self.pos_embed, self.patch_embed.grid_size, grid, self.num_prefix_tokens)

    def prefix_tokens(self) -> Tensor:
        """Return the tokens before the patches, `(1, num_prefix_tokens, c)`."""
        return self.cls_token

    def feature_map(self, x: Tokens) -> Tensor:
        return x.as_map()

    def normed(self, index: int, x: Tokens) -> Tokens:
        return Tokens(self.norm(x.x), x.grid)

    def last_features(self, x: Tokens) -> Tensor:
        y: Tensor = self.norm(x.x)
        return y

    def pool(self, x: Tensor) -> Tensor:
        """Average the patches (`avg`), or the prefix tokens: the class token and any distillation token."""
        averaged = self.global_pool == "avg"
        x = x[:, self.num_prefix_tokens :] if averaged else x[:, : self.num_prefix_tokens]
        x = self.fc_norm(x.mean(1))  # b t c -> b c
        return x

    def group_key(self, name: str) -> GroupKey:
        """The embeddings; each block; the final norm and the head."""
        module, *rest = name.split(".")
        if module == "blocks":
            return (int(rest[0]),)
        return STEM if module in ("patch_embed", "cls_token", "dist_token", "pos_embed") else HEAD


class DistilledVisionTransformer(VisionTransformer):
    """The distilled DeiT: a second token and head, trained to match a teacher."""

    head_modules = ("norm", "fc_norm", "head", "head_dist")
    num_prefix_tokens = 2

    def __init__(self, config: DistilledViTConfig) -> None:
        super().__init__(config)
        self.dist_token = nn.Parameter(nn.init.trunc_normal_(torch.zeros(1, 1, config.dim), std=0.02))
        self.head_dist = new_classifier(config.dim, config.num_classes)

    def prefix_tokens(self) -> Tensor:
        return torch.cat([self.cls_token, self.dist_token], dim=1)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the mean of both heads' scores."""
        if pre_logits or self.num_classes == 0 or not self.global_pool:
            return super().forward_head(x, pre_logits)
        x = self.head_drop(x[:, :2])
        x = (self.head(x[:, 0]) + self.head_dist(x[:, 1])) / 2
        return x

    def classifier_names(self) -> tuple[str, ...]:
        return ("head", "head_dist")


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# --- variants -------------------------------------------------------------------------------------------------------

_DOSOVITSKIY = "Dosovitskiy et al. 2020"
_TOUVRON = "Touvron et al. 2020, as in the release's README"


@register_model(VisionTransformer, Published("ours, for tests", image_size=64))
def vit_test() -> ViTConfig:
    return ViTConfig(image_size=64, dim=32, depth=2, heads=2)


@register_model(DistilledVisionTransformer, Published("ours, for tests", image_size=64))
def deit_test() -> DistilledViTConfig:
    return DistilledViTConfig(image_size=64, dim=32, depth=2, heads=2)


@register_model(VisionTransformer, Published("Steiner et al. 2021", params_m=5.717, gmacs=1.2537))
def vit_tiny_patch16() -> ViTConfig:
    return ViTConfig(dim=192, heads=3)


@register_model(VisionTransformer, Published("Steiner et al. 2021", params_m=22.051, gmacs=4.5989))
def vit_small_patch16() -> ViTConfig:
    return ViTConfig(dim=384, heads=6)


@register_model(VisionTransformer, Published(_DOSOVITSKIY, params_m=86.568, gmacs=17.5638))
def vit_base_patch16() -> ViTConfig:
    return ViTConfig()


@register_model(
    VisionTransformer,
    Published(f"{_DOSOVITSKIY}; top-1 He et al. 2021 (MAE), supervised", params_m=304.327, gmacs=61.5547, top1=82.6),
)
def vit_large_patch16() -> ViTConfig:
    return ViTConfig(dim=1024, depth=24, heads=16)


# timm's 630.765 M and 167.294 G exclude the classifier, which its weights do not have
@register_model(VisionTransformer, Published(_DOSOVITSKIY, params_m=632.046, gmacs=167.295))
def vit_huge_patch14() -> ViTConfig:
    return ViTConfig(patch_size=14, dim=1280, depth=32, heads=16)


@register_model(VisionTransformer, Published(_TOUVRON, params_m=5.717, gmacs=1.2537, top1=72.2))
def deit_tiny() -> ViTConfig:
    return ViTConfig(dim=192, heads=3)


@register_model(VisionTransformer, Published(_TOUVRON, params_m=22.051, gmacs=4.5989, top1=79.9))
def deit_small() -> ViTConfig:
    return ViTConfig(dim=384, heads=6)


@register_model(VisionTransformer, Published(_TOUVRON, params_m=86.568, gmacs=17.5638, top1=81.8))
def deit_base() -> ViTConfig:
    return ViTConfig()


@register_model(VisionTransformer, Published(_TOUVRON, params_m=86.860, gmacs=55.4844, top1=82.9, image_size=384))
def deit_base_384() -> ViTConfig:
    return ViTConfig(image_size=384)


@register_model(DistilledVisionTransformer, Published(_TOUVRON, params_m=5.911, gmacs=1.261, top1=74.5))
def deit_tiny_distilled() -> DistilledViTConfig:
    return DistilledViTConfig(dim=192, heads=3)


@register_model(DistilledVisionTransformer, Published(_TOUVRON, params_m=22.436, gmacs=4.624, top1=81.2))
def deit_small_distilled() -> DistilledViTConfig:
    return DistilledViTConfig(dim=384, heads=6)


@register_model(DistilledVisionTransformer, Published(_TOUVRON, params_m=87.338, gmacs=17.657, top1=83.4))
def deit_base_distilled() -> DistilledViTConfig:
    return DistilledViTConfig()
