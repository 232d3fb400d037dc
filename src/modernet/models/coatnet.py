"""CoAtNet.

Dai, Liu, Le, Tan, "CoAtNet: Marrying Convolution and Attention for All Data Sizes", 2021, arXiv 2106.04803.

Convolution generalises better from few images, attention has more capacity for many; CoAtNet stacks both in one
network. Its first two stages are MBConv blocks (from MobileNetV2 and EfficientNet) and its last two are transformer
blocks, since global attention is affordable only on small grids. The attention score of a pair of positions is the
product of their features plus a learned bias for their offset: the second is what a convolution has, the first what it
lacks. Blocks are pre-norm, and every stage halves the grid in its first block.

    image                                   3 x 224 x 224
    stem       3x3 / 2, BN, GELU, 3x3      64 x 112 x 112
    stages.0   MBConv, 3x3 depthwise, SE   96 x  56 x  56   2 blocks        (CoAtNet-0)
    stages.1   MBConv, 3x3 depthwise, SE  192 x  28 x  28   3 blocks
    stages.2   attention and MLP          384 x  14 x  14   5 blocks, 12 heads
    stages.3   attention and MLP          768 x   7 x   7   2 blocks, 24 heads
    head       average pool, LayerNorm, linear and tanh, linear -> class scores

The authors released neither code nor weights. The network, its parameter names and its initialisation are those of
timm's `coatnet_N_224`, the implementation in common use. It deviates from the paper's main text in three places. The
stride of an MBConv block is on its depthwise convolution, not on its first 1x1; the paper measures both (table 9), and
the accuracies given here are for this form where available. Pooling is average, not max. The head has a linear layer
and a tanh before the classifier. MLP biases start at zero instead of timm's noise of 1e-6.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import DropPath, LayerNorm2d, drop_path_rates
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.entry import Published, register_model
from modernet.models.image_size import of_size


@dataclass(frozen=True, kw_only=True)
class CoAtNetConfig(ModelConfig):
    """A CoAtNet: two stages of MBConv blocks, then two of transformer blocks."""

    depths: tuple[int, ...] = (2, 3, 5, 2)
    """Blocks per stage, after the stem."""
    dims: tuple[int, ...] = (96, 192, 384, 768)
    """Channels per stage; the last two must be multiples of `head_dim`."""
    stem_width: int = 64
    """Channels of the stem."""
    head_dim: int = 32
    """Channels per attention head."""
    image_size: int = 224
    """Image size in pixels, a multiple of 32; the relative position biases have a fixed size."""

    pools = ("avg", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, values in (("depths", self.depths), ("dims", self.dims)):
            if len(values) != 4 or min(values) < 1:
                raise InputError(f"{name} is {values}; give four numbers above 0, one for each stage")
        if self.stem_width < 1:
            raise InputError(f"stem_width is {self.stem_width}; give 1 or more")
        if self.head_dim < 1 or self.dims[2] % self.head_dim or self.dims[3] % self.head_dim:
            raise InputError(f"head_dim is {self.head_dim} and dims {self.dims}; it must divide the last two dims")
        if min(self.dims) < 4:
            raise InputError(f"dims is {self.dims}; give 4 or more, squeeze-and-excitation keeps a quarter of them")
        if self.image_size < 32 or self.image_size % 32:
            raise InputError(f"image_size is {self.image_size}; give a multiple of 32, such as 224")


class Stem(nn.Module):
    """3x3 with stride 2 -> BatchNorm -> GELU -> 3x3. `(b, cin, h, w) -> (b, width, h / 2, w / 2)`."""

    def __init__(self, cin: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, width, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.act1 = nn.GELU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.act1(self.norm1(self.conv1(x))))
        return x


class Shortcut(nn.Module):
    """2x2 average pool -> 1x1 if the channels change. `(b, cin, h, w) -> (b, cout, h / 2, w / 2)`."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2)
        self.expand = nn.Identity() if cin == cout else nn.Conv2d(cin, cout, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.expand(self.pool(x))
        return x


class SqueezeExcite(nn.Module):
    """Channel attention: gates in (0, 1) computed from the channel means (Hu et al. 2017, arXiv 1709.01507)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.act = nn.SiLU()
        self.fc2 = nn.Conv2d(inner, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)  # b c h w -> b c 1 1
        x = x * self.gate(self.fc2(self.act(self.fc1(mean))))
        return x


class MBConv(nn.Module):
    """1x1 to 4c -> 3x3 depthwise -> SE -> 1x1 to c, with a shortcut. `(b, cin, h, w) -> (b, cout, h / s, w / s)`."""

    def __init__(self, cin: int, cout: int, *, stride: int = 1, drop_path: float = 0.0) -> None:
        super().__init__()
        inner = 4 * cout
        self.shortcut = nn.Identity() if stride == 1 else Shortcut(cin, cout)
        self.pre_norm = nn.BatchNorm2d(cin)
        self.conv1_1x1 = nn.Conv2d(cin, inner, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.act1 = nn.GELU()
        self.conv2_kxk = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.act2 = nn.GELU()
        self.se = SqueezeExcite(inner, cout // 4)
        self.conv3_1x1 = nn.Conv2d(inner, cout, 1)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.norm1(self.conv1_1x1(self.pre_norm(x))))  # c -> 4c
        y = self.act2(self.norm2(self.conv2_kxk(y)))
        y = self.conv3_1x1(self.se(y))  # 4c -> c
        x = self.shortcut(x) + self.drop_path(y)
        return x


class RelativePositionBias(nn.Module):
    """A learned bias per head and offset between two positions of a `side` x `side` grid."""

    def __init__(self, num_heads: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * side - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self) -> Tensor:
        """Return the bias for each query and key, `(heads, t, t)`."""
        offsets = 2 * self.side - 1
        table = self.relative_position_bias_table.reshape(offsets, offsets, -1)  # dy dx heads
        # a query at y has key offsets y - (side - 1) to y, with key positions in reverse order
        windows = table.unfold(0, self.side, 1).unfold(1, self.side, 1).flip(3, 4)  # y x heads, key's y x
        return windows.permute(2, 0, 1, 3, 4).reshape(-1, self.side**2, self.side**2)


class Attention(nn.Module):
    """Global attention with relative position biases. `(b, cin, h, w) -> (b, cout, h, w)`."""

    def __init__(self, cin: int, cout: int, *, head_dim: int, side: int) -> None:
        super().__init__()
        self.num_heads = cout // head_dim
        self.qkv = nn.Conv2d(cin, 3 * cout, 1)
        self.rel_pos = RelativePositionBias(self.num_heads, side)
        self.proj = nn.Conv2d(cout, cout, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        qkv = self.qkv(x).reshape(b, self.num_heads, -1, h * w)  # b 3c h w -> b heads 3d t, one head after the other
        q, k, v = qkv.transpose(2, 3).chunk(3, dim=3)  # b heads t d
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.rel_pos())
        x = self.proj(y.transpose(2, 3).reshape(b, -1, h, w))  # b heads t d -> b c h w
        return x


class Mlp(nn.Module):
    """1x1 to 4c -> GELU -> 1x1 back to c. `(b, c, h, w)` in and out."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(dim, 4 * dim, 1)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(4 * dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc2(self.act(self.fc1(x)))  # c -> 4c -> c
        return x


class TransformerBlock(nn.Module):
    """LayerNorm -> attention, LayerNorm -> MLP, with shortcuts. `(b, cin, h, w) -> (b, cout, h / s, w / s)`.

    With stride 2 the grid is halved before attention; `side` is the output size.
    """

    def __init__(
        self, cin: int, cout: int, *, stride: int = 1, head_dim: int, side: int, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        halved = nn.Sequential(OrderedDict(norm=LayerNorm2d(cin), down=nn.AvgPool2d(2)))
        self.shortcut = nn.Identity() if stride == 1 else Shortcut(cin, cout)
        self.norm1 = LayerNorm2d(cin) if stride == 1 else halved
        self.attn = Attention(cin, cout, head_dim=head_dim, side=side)
        self.norm2 = LayerNorm2d(cout)
        self.mlp = Mlp(cout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shortcut(x) + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x


class Head(nn.Module):
    """Average pool -> LayerNorm -> linear -> tanh. `(b, c, h, w) -> (b, c)`.

    The classifier `fc` is defined here for its parameter name, but run by the network.
    """

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pre_logits = nn.Sequential(OrderedDict(fc=nn.Linear(dim, dim), act=nn.Tanh()))
        self.fc = new_classifier(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pre_logits(self.norm(x.mean((2, 3))))
        return x


class CoAtNet(Backbone):
    """Convolutional stem, two stages of MBConv blocks, two of transformer blocks, average pool, classifier."""

    classifier_name = "head.fc"
    head_modules = ("head",)
    regrows_head = False
    undecayed = ("relative_position_bias_table",)
    has_one_size = True

    def __init__(self, config: CoAtNetConfig) -> None:
        super().__init__(config)
        self.image_size = config.image_size
        self.stem = Stem(config.in_chans, config.stem_width)
        self.stem.apply(_init_convolution)
        features = [Feature(config.stem_width, 2, "stem")]

        self.stages = nn.ModuleList()
        cin = config.stem_width
        for stage, rates in enumerate(drop_path_rates(config.drop_path_rate, config.depths)):
            cout, reduction = config.dims[stage], 4 * 2**stage
            block = partial(TransformerBlock, head_dim=config.head_dim, side=config.image_size // reduction)
            blocks: list[nn.Module] = []
            for index, rate in enumerate(rates):
                make = MBConv if stage < 2 else block
                blocks.append(make(cin, cout, stride=2 if index == 0 else 1, drop_path=rate))
                cin = cout
            self.stages.append(nn.ModuleDict({"blocks": nn.Sequential(*blocks)}))
            self.stages[-1].apply(_init_convolution if stage < 2 else _init_transformer)
            features.append(Feature(cout, reduction, f"stages.{stage}.blocks"))

        self.num_features = cin
        self.feature_info = FeatureInfo(features)
        self.head = Head(cin, config.num_classes)

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run one stage: 0 is the stem, 1 to 4 are `stages.0` to `stages.3`."""
        if index > 0:
            return self.run_blocks(self.get_submodule(f"stages.{index - 1}.blocks"), x)
        x = self.stem(of_size(x, self.image_size, 32))
        return x

    def pool(self, x: Tensor) -> Tensor:
        x = self.head(x)  # b c h w -> b c
        return x

    def group_key(self, name: str) -> GroupKey:
        """The stem; each block; the head."""
        module, *rest = name.split(".")
        if module == "stages":
            return int(rest[0]), int(rest[2])
        return STEM if module == "stem" else HEAD


def _init_convolution(module: nn.Module) -> None:
    """Initialise as EfficientNet does: variance 2 / fan-out, zero biases."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _init_transformer(module: nn.Module) -> None:
    """Initialise as the original Vision Transformer does: Xavier, zero biases."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


# --- variants -------------------------------------------------------------------------------------------------------
# parameters and MACs are timm's; top-1 of 0 to 2 is for the paper's form with strided depthwise convolutions

_DAI = "Dai et al. 2021, tables 3 and 9; counts as in timm"


@register_model(CoAtNet, Published("ours, for tests", image_size=64))
def coatnet_test() -> CoAtNetConfig:
    return CoAtNetConfig(depths=(2, 1, 2, 1), dims=(8, 16, 24, 32), stem_width=8, head_dim=8, image_size=64)


@register_model(CoAtNet, Published(_DAI, params_m=25.037, gmacs=4.547, top1=82.0))
def coatnet_0() -> CoAtNetConfig:
    return CoAtNetConfig(depths=(2, 3, 5, 2), dims=(96, 192, 384, 768))


@register_model(CoAtNet, Published(_DAI, params_m=42.226, gmacs=8.6435, top1=83.5))
def coatnet_1() -> CoAtNetConfig:
    return CoAtNetConfig(depths=(2, 6, 14, 2), dims=(96, 192, 384, 768))


@register_model(CoAtNet, Published(_DAI, params_m=74.685, gmacs=16.427, top1=84.1))
def coatnet_2() -> CoAtNetConfig:
    return CoAtNetConfig(depths=(2, 6, 14, 2), dims=(128, 256, 512, 1024), stem_width=128)


# 84.5 is for the paper's form with strided 1x1 convolutions; the paper does not give the other
@register_model(CoAtNet, Published(_DAI, params_m=166.966, gmacs=36.453, top1=84.5))
def coatnet_3() -> CoAtNetConfig:
    return CoAtNetConfig(depths=(2, 6, 14, 2), dims=(192, 384, 768, 1536), stem_width=192)


# published with ImageNet-21K pre-training only, so there is no ImageNet-1K figure
@register_model(CoAtNet, Published(_DAI, params_m=275.425, gmacs=62.317))
def coatnet_4() -> CoAtNetConfig:
    return CoAtNetConfig(depths=(2, 12, 28, 2), dims=(192, 384, 768, 1536), stem_width=192)
