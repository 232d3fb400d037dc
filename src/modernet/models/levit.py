"""LeViT.

Graham, El-Nouby, Touvron, Stock, Joulin, Jegou, Douze, "LeViT: a Vision Transformer in ConvNet's Clothing for Faster
Inference", 2021, arXiv 2104.01136.

A transformer designed for inference speed with ideas from convolutional networks: a stem of four small convolutions
reduces resolution by sixteen, each stage reduces it further by attention whose queries are every other position, and
BatchNorm replaces LayerNorm, so that it can be folded into the preceding layer. Position is encoded as a learned
attention bias per head and distance. A second head learns from a teacher; the prediction is the mean of both heads.

    image 3 x 224 x 224                                              levit_256
      4 x (3x3 convolution, stride 2), Hardswish    -> 196 tokens x 256    attention, heads of keys 32, values 64
      4 x (attention, MLP)                          -> 196 tokens x 256      query, key, value: linear -> BatchNorm
      attention of every other position, MLP        -> 49 tokens x 384       softmax(query key + distances) value
      4 x (attention, MLP)                          -> 49 tokens x 384       Hardswish -> linear -> BatchNorm -> +
      attention of every other position, MLP        -> 16 tokens x 512     MLP
      4 x (attention, MLP)                          -> 16 tokens x 512       linear to 2c -> BatchNorm -> Hardswish
      mean -> 2 x (BatchNorm -> linear -> 1000), averaged                    linear to c -> BatchNorm -> +

Parameter names are those of the authors' code (facebookresearch/LeViT). The mean of both heads is returned in training
as well, where the authors' code returns them separately. Every block has the same drop path rate, as in their code.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import DropPath
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, Tokens
from modernet.models.entry import Published, register_model
from modernet.models.image_size import of_size

_PATCH = 16  # stride of the stem


@dataclass(frozen=True, kw_only=True)
class LeViTConfig(ModelConfig):
    """A LeViT of three stages."""

    image_size: int = 224
    """Image size in pixels, a multiple of 16."""
    dims: tuple[int, ...] = (256, 384, 512)
    """Channels per stage."""
    depths: tuple[int, ...] = (4, 4, 4)
    """Pairs of attention and MLP per stage."""
    heads: tuple[int, ...] = (4, 6, 8)
    """Attention heads per stage; the downsampling attention between stages has `dims / key_dim`."""
    key_dim: int = 32
    """Channels per key and query; values have twice as many, four times as many between stages."""

    pools = ("avg", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_size < _PATCH or self.image_size % _PATCH:
            raise InputError(f"image_size is {self.image_size}; give a multiple of {_PATCH}, such as 224")
        if not len(self.dims) == len(self.depths) == len(self.heads):
            raise InputError(
                f"dims {self.dims}, depths {self.depths} and heads {self.heads}: give one number in each for each stage"
            )
        if min((*self.depths, *self.heads), default=0) < 1:
            raise InputError(f"depths are {self.depths} and heads {self.heads}; give 1 or more for each")
        if self.key_dim < 1 or any(dim % 8 or dim < self.key_dim for dim in self.dims):
            raise InputError(
                f"dims are {self.dims} and key_dim is {self.key_dim}; give multiples of 8, at least key_dim"
            )


class ConvNorm(nn.Sequential):
    """3x3 convolution with stride 2 -> BatchNorm. `(b, cin, h, w) -> (b, cout, h / 2, w / 2)`."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.c = nn.Conv2d(cin, cout, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(cout)


class LinearNorm(nn.Sequential):
    """Linear -> BatchNorm over batch and tokens. `(b, t, cin) -> (b, t, cout)`."""

    def __init__(self, cin: int, cout: int, *, bn_weight: float = 1.0) -> None:
        super().__init__()
        self.c = nn.Linear(cin, cout, bias=False)
        self.bn = nn.BatchNorm1d(cout)
        nn.init.constant_(self.bn.weight, bn_weight)

    def forward(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        y: Tensor = self.bn(self.c(x).flatten(0, 1))  # b t c -> (b t) c
        return y.reshape(b, t, -1)


class NormLinear(nn.Sequential):
    """BatchNorm -> linear, the classifier. `(b, c) -> (b, classes)`."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(dim)
        self.l = nn.Linear(dim, num_classes)
        nn.init.trunc_normal_(self.l.weight, std=0.02)
        nn.init.zeros_(self.l.bias)


class Residual(nn.Module):
    """A residual branch with a shortcut."""

    def __init__(self, branch: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.m = branch
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.m(x))
        return x


def _by_head(x: Tensor, heads: int) -> Tensor:
    """Split channels into heads. `(b, t, heads * c) -> (b, heads, t, c)`."""
    b, t, _ = x.shape  # the exporter to ONNX that traces keeps any batch size for a reshape, not for an unflatten
    return x.reshape(b, t, heads, -1).transpose(1, 2)


def _joined(x: Tensor) -> Tensor:
    """Join heads. `(b, heads, t, c) -> (b, t, heads * c)`."""
    b, _, t, _ = x.shape
    return x.transpose(1, 2).reshape(b, t, -1)


class Attention(nn.Module):
    """Global attention on a `side` x `side` grid. `(b, t, c)` in and out."""

    attention_bias_idxs: Tensor

    def __init__(self, dim: int, key_dim: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.key_dim, self.value_dim = heads, key_dim, 2 * key_dim
        self.qkv = LinearNorm(dim, heads * (2 * key_dim + self.value_dim))
        self.proj = nn.Sequential(nn.Hardswish(), LinearNorm(heads * self.value_dim, dim, bn_weight=0.0))
        self.attention_biases = nn.Parameter(torch.zeros(heads, side * side))
        self.register_buffer("attention_bias_idxs", _distances(side, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        qkv = _by_head(self.qkv(x), self.heads)
        q, k, v = torch.split(qkv, [self.key_dim, self.key_dim, self.value_dim], dim=3)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.attention_biases[:, self.attention_bias_idxs])
        x = self.proj(_joined(y))
        return x


class AttentionSubsample(nn.Module):
    """Global attention whose queries are every other token per direction of a square grid.

    `(b, side^2, cin) -> (b, ceil(side / 2)^2, cout)`.
    """

    attention_bias_idxs: Tensor

    def __init__(self, cin: int, cout: int, key_dim: int, side: int) -> None:
        super().__init__()
        self.heads, self.key_dim, self.value_dim, self.side = cin // key_dim, key_dim, 4 * key_dim, side
        self.kv = LinearNorm(cin, self.heads * (key_dim + self.value_dim))
        self.q = nn.Sequential(Subsample(side), LinearNorm(cin, self.heads * key_dim))
        self.proj = nn.Sequential(nn.Hardswish(), LinearNorm(self.heads * self.value_dim, cout))
        self.attention_biases = nn.Parameter(torch.zeros(self.heads, side * side))
        self.register_buffer("attention_bias_idxs", _distances(side, 2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        q, kv = _by_head(self.q(x), self.heads), _by_head(self.kv(x), self.heads)
        k, v = torch.split(kv, [self.key_dim, self.value_dim], dim=3)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.attention_biases[:, self.attention_bias_idxs])
        x = self.proj(_joined(y))
        return x


class Subsample(nn.Module):
    """Select every other token per direction of a square grid. `(b, side^2, c) -> (b, ceil(side / 2)^2, c)`."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], self.side, self.side, -1)[:, ::2, ::2].flatten(1, 2)


class LeViT(Backbone):
    """Convolutional stem, three stages of attention and MLPs, average pool, two classifiers with averaged scores."""

    classifier_name = "head"
    head_modules = ("head", "head_dist")
    undecayed = ("attention_biases",)
    has_one_size = True

    def __init__(self, config: LeViTConfig) -> None:
        super().__init__(config)
        self.image_size = config.image_size
        dims, rate = config.dims, config.drop_path_rate

        stem: list[nn.Module] = []
        widths = [config.in_chans, *(dims[0] // share for share in (8, 4, 2, 1))]
        for cin, cout in pairwise(widths):
            stem += [ConvNorm(cin, cout), nn.Hardswish()]
        self.patch_embed = nn.Sequential(*stem[:-1])

        blocks: list[nn.Module] = []
        self._ends: list[int] = []
        self._sides: list[int] = []
        features = []
        side = config.image_size // _PATCH
        for stage, (dim, depth, heads) in enumerate(zip(dims, config.depths, config.heads, strict=True)):
            if stage > 0:
                blocks.append(AttentionSubsample(dims[stage - 1], dim, config.key_dim, side))
                blocks.append(Residual(_mlp(dim), rate))
                side = (side + 1) // 2
            for _ in range(depth):
                blocks.append(Residual(Attention(dim, config.key_dim, heads, side), rate))
                blocks.append(Residual(_mlp(dim), rate))
            self._ends.append(len(blocks))
            self._sides.append(side)
            features.append(Feature(dim, _PATCH * 2**stage, f"blocks.{len(blocks) - 1}"))
        self.blocks = nn.Sequential(*blocks)

        self.num_features = dims[-1]
        self.feature_info = FeatureInfo(features)
        self.head = self.make_classifier(config.num_classes)
        self.head_dist = self.make_classifier(config.num_classes)

    def forward_stage(self, index: int, x: Any) -> Tokens:
        """Run one stage. Stage 0 takes images, the others tokens; all return tokens."""
        if index == 0:
            x = self.patch_embed(of_size(x, self.image_size, _PATCH))
            x = x.flatten(2).transpose(1, 2)  # b c h w -> b (h w) c
        else:
            x = x.x
        for block in self._block_range(index):
            x = self.run_blocks(self.blocks[block], x)
        return Tokens(x, (self._sides[index], self._sides[index]))

    def feature_map(self, x: Any) -> Tensor:
        y: Tensor = x.as_map()
        return y

    def last_features(self, x: Any) -> Tensor:
        y: Tensor = x.x
        return y

    def pool(self, x: Tensor) -> Tensor:
        return x.mean(1)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the mean of both heads' scores."""
        if pre_logits or self.num_classes == 0 or not self.global_pool:
            return super().forward_head(x, pre_logits)
        x = self.head_drop(self.pool(x))
        x = (self.head(x) + self.head_dist(x)) / 2
        return x

    def classifier_names(self) -> tuple[str, ...]:
        return ("head", "head_dist")

    def make_classifier(self, num_classes: int) -> nn.Module:
        return NormLinear(self.head_hidden_size, num_classes) if num_classes else nn.Identity()

    def stage_modules(self, index: int) -> list[str]:
        return [f"blocks.{block}" for block in self._block_range(index)] + ["patch_embed"] * (index == 0)

    def group_key(self, name: str) -> GroupKey:
        """The stem; each attention with the MLP after it; the heads."""
        module, block, *_ = name.split(".")
        return (int(block) // 2,) if module == "blocks" else STEM if module == "patch_embed" else HEAD

    def _block_range(self, index: int) -> range:
        """Return the indices of a stage's modules in `blocks`."""
        return range(self._ends[index - 1] if index else 0, self._ends[index])


def fuse_norms(network: LeViT) -> LeViT:
    """Return a copy for inference with every BatchNorm folded into its linear layer or convolution."""
    network = copy.deepcopy(network).eval()
    for name, module in list(_with_norms(network)):
        norm = module.bn
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - norm.running_mean * scale
        with torch.no_grad():
            if isinstance(module, NormLinear):
                fused: nn.Module = nn.Linear(module.l.in_features, module.l.out_features)
                weight, bias = module.l.weight * scale, module.l.bias + module.l.weight @ shift
            elif isinstance(module, LinearNorm):
                fused = nn.Linear(module.c.in_features, module.c.out_features)
                weight, bias = module.c.weight * scale[:, None], shift
            else:
                conv = module.c
                fused = nn.Conv2d(conv.in_channels, conv.out_channels, 3, stride=2, padding=1)
                weight, bias = conv.weight * scale[:, None, None, None], shift
        fused.weight, fused.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
        network.set_submodule(name, fused)
    return network.eval()


def _with_norms(network: nn.Module) -> Iterator[tuple[str, ConvNorm | LinearNorm | NormLinear]]:
    for name, module in network.named_modules():
        if isinstance(module, ConvNorm | LinearNorm | NormLinear):
            yield name, module


def _mlp(dim: int) -> nn.Sequential:
    return nn.Sequential(LinearNorm(dim, 2 * dim), nn.Hardswish(), LinearNorm(2 * dim, dim, bn_weight=0.0))


def _distances(side: int, stride: int) -> Tensor:
    """Return the index of the distance `(|dy|, |dx|)` for each query, at every `stride`-th position, and each key."""
    keys = torch.arange(side)
    distance = (keys[::stride, None] - keys).abs()  # query, key along one axis
    distances = distance[:, None, :, None] * side + distance[None, :, None, :]  # query's y x, key's y x
    return distances.flatten(2).flatten(0, 1)


# --- variants -------------------------------------------------------------------------------------------------------

_GRAHAM = "Graham et al. 2021"


@register_model(LeViT, Published("ours, for tests", image_size=96))
def levit_test() -> LeViTConfig:
    return LeViTConfig(image_size=96, dims=(32, 48, 64), depths=(1, 1, 1), heads=(2, 3, 4), key_dim=8)


@register_model(LeViT, Published(_GRAHAM, params_m=7.777, gmacs=0.3047, top1=76.6))
def levit_128s() -> LeViTConfig:
    return LeViTConfig(dims=(128, 256, 384), depths=(2, 3, 4), key_dim=16)


@register_model(LeViT, Published(_GRAHAM, params_m=9.214, gmacs=0.4053, top1=78.6))
def levit_128() -> LeViTConfig:
    return LeViTConfig(dims=(128, 256, 384), heads=(4, 8, 12), key_dim=16)


@register_model(LeViT, Published(_GRAHAM, params_m=10.947, gmacs=0.6570, top1=80.0))
def levit_192() -> LeViTConfig:
    return LeViTConfig(dims=(192, 288, 384), heads=(3, 5, 6))


@register_model(LeViT, Published(_GRAHAM, params_m=18.894, gmacs=1.1273, top1=81.6))
def levit_256() -> LeViTConfig:
    return LeViTConfig(dims=(256, 384, 512), heads=(4, 6, 8))


@register_model(LeViT, Published(_GRAHAM, params_m=39.129, gmacs=2.3518, top1=82.6))
def levit_384() -> LeViTConfig:
    return LeViTConfig(dims=(384, 512, 768), heads=(6, 9, 12), drop_path_rate=0.1)
