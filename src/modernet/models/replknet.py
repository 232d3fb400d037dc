"""RepLKNet.

Ding, Zhang, Han, Ding, "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design in CNNs", 2022, arXiv
2203.06717.

How large can a kernel be? In a network of depthwise convolutions, shortcuts and 1x1 convolutions, 31x31 kernels add
little computation, and a few of them have a larger effective receptive field than many small ones: that of a
transformer, without attention. A large kernel alone learns small-scale patterns poorly, so a 5x5 kernel is trained in
parallel. Both are linear, so after training they merge into one kernel, and the small one is free.

    image 3 x 224 x 224                                               replknet_31b
      3x3, stride 2; 3x3 depthwise; 1x1; 3x3 depthwise, stride 2    -> 128 x 56 x 56
      2 x (31x31 block, feed-forward block)                         -> 128 x 56 x 56   31x31 block, c channels:
      1x1; 3x3 depthwise, stride 2                                  -> 256 x 28 x 28     BatchNorm -> 1x1 -> ReLU
      2 x (29x29 block, feed-forward block)                         -> 256 x 28 x 28     31x31 depthwise + 5x5 -> ReLU
      ... 18 x (27x27, ...) at 512 x 14 x 14, 2 x (13x13, ...)      -> 1024 x 7 x 7      1x1 -> +
      BatchNorm -> average pool -> linear -> 1000                                      feed-forward block:
                                                                                         BatchNorm -> 1x1 to 4c -> GELU
    BatchNorm and ReLU follow every convolution of the stem and between stages;          1x1 back to c -> +
    BatchNorm, every convolution of a block

Parameter names are those of the authors' code (DingXiaoH/RepLKNet-pytorch); those of its re-parameterised form belong
to `merged=True`. The norms on intermediate features that its detectors use are omitted.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import DropPath, drop_path_rates
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.entry import Published, register_model


@dataclass(frozen=True, kw_only=True)
class RepLKNetConfig(ModelConfig):
    """A RepLKNet of four stages."""

    depths: tuple[int, ...] = (2, 2, 18, 2)
    """Pairs of a large-kernel block and a feed-forward block, per stage."""
    dims: tuple[int, ...] = (128, 256, 512, 1024)
    """Channels per stage."""
    kernel_sizes: tuple[int, ...] = (31, 29, 27, 13)
    """Size of the large kernels per stage, odd."""
    small_kernel: int = 5
    """Size of the parallel kernel used in training, odd; 0 for none."""
    dw_ratio: float = 1.0
    """Channels of the large-kernel convolution, as a multiple of the block's channels."""
    merged: bool = False
    """Build the inference form, in which both kernels and their norms are one convolution."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.depths) == len(self.dims) == len(self.kernel_sizes) or min(self.depths, default=0) < 1:
            raise InputError(
                f"depths {self.depths}, dims {self.dims} and kernel_sizes {self.kernel_sizes}: give one number above 0 "
                "in each for every stage"
            )
        if any(size < 1 or size % 2 == 0 for size in self.kernel_sizes):
            raise InputError(f"kernel_sizes is {self.kernel_sizes}; give odd numbers")
        if self.small_kernel and (self.small_kernel % 2 == 0 or not 0 < self.small_kernel <= min(self.kernel_sizes)):
            raise InputError(f"small_kernel is {self.small_kernel}; give an odd number up to min(kernel_sizes), or 0")
        if min(self.dims) * min(self.dw_ratio, 1.0) < 1:
            raise InputError(f"dims {self.dims} and dw_ratio {self.dw_ratio} leave no channel; give larger values")


class ConvNorm(nn.Sequential):
    """'Same'-padded convolution -> BatchNorm -> optional ReLU."""

    def __init__(
        self, cin: int, cout: int, kernel_size: int, *, stride: int = 1, groups: int = 1, relu: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(cout)
        if relu:
            self.nonlinear = nn.ReLU()


class LargeKernel(nn.Module):
    """k x k depthwise and a parallel small one, each with its norm; or both merged. `(b, c, h, w)` in and out."""

    def __init__(self, dim: int, kernel_size: int, small_kernel: int, merged: bool) -> None:
        super().__init__()
        self.lkb_reparam: nn.Conv2d | None = None
        self.lkb_origin: ConvNorm | None = None
        self.small_conv: ConvNorm | None = None
        if merged:
            self.lkb_reparam = nn.Conv2d(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        else:
            self.lkb_origin = ConvNorm(dim, dim, kernel_size, groups=dim)
            if small_kernel:
                self.small_conv = ConvNorm(dim, dim, small_kernel, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        if self.lkb_origin is None:
            assert self.lkb_reparam is not None
            y: Tensor = self.lkb_reparam(x)
            return y
        y = self.lkb_origin(x)
        return y if self.small_conv is None else y + self.small_conv(x)

    def merge(self) -> bool:
        """Merge both kernels and their norms into one convolution. Return whether they were separate before."""
        if self.lkb_origin is None:
            return False
        weight, bias = _folded(self.lkb_origin)
        if self.small_conv is not None:
            small, small_bias = _folded(self.small_conv)
            margin = (weight.shape[-1] - small.shape[-1]) // 2
            weight, bias = weight + F.pad(small, [margin] * 4), bias + small_bias
        dim, size = len(weight), weight.shape[-1]
        merged = nn.Conv2d(dim, dim, size, padding=size // 2, groups=dim)
        merged.weight, merged.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.lkb_reparam, self.lkb_origin, self.small_conv = merged, None, None
        return True


class LargeKernelBlock(nn.Module):
    """BatchNorm -> 1x1 -> ReLU -> k x k depthwise -> ReLU -> 1x1, with a shortcut. `(b, c, h, w)` in and out."""

    def __init__(
        self, dim: int, inner: int, kernel_size: int, small_kernel: int, *, merged: bool, drop_path: float
    ) -> None:
        super().__init__()
        self.prelkb_bn = nn.BatchNorm2d(dim)
        self.pw1 = ConvNorm(dim, inner, 1, relu=True)
        self.large_kernel = LargeKernel(inner, kernel_size, small_kernel, merged)
        self.lk_nonlinear = nn.ReLU()
        self.pw2 = ConvNorm(inner, dim, 1)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.lk_nonlinear(self.large_kernel(self.pw1(self.prelkb_bn(x))))
        x = x + self.drop_path(self.pw2(y))
        return x


class FeedForwardBlock(nn.Module):
    """BatchNorm -> 1x1 to 4c -> GELU -> 1x1 back to c, with a shortcut. `(b, c, h, w)` in and out."""

    def __init__(self, dim: int, *, drop_path: float) -> None:
        super().__init__()
        self.preffn_bn = nn.BatchNorm2d(dim)
        self.pw1 = ConvNorm(dim, 4 * dim, 1)
        self.nonlinear = nn.GELU()
        self.pw2 = ConvNorm(4 * dim, dim, 1)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pw2(self.nonlinear(self.pw1(self.preffn_bn(x))))
        x = x + self.drop_path(y)
        return x


class RepLKNet(Backbone):
    """Stem, four stages with transitions between them, BatchNorm, average pool, linear classifier."""

    classifier_name = "head"
    head_modules = ("norm", "head")
    final_norms = ("norm",)

    def __init__(self, config: RepLKNetConfig) -> None:
        super().__init__(config)
        dims = config.dims
        self.stem = nn.Sequential(
            ConvNorm(config.in_chans, dims[0], 3, stride=2, relu=True),
            ConvNorm(dims[0], dims[0], 3, groups=dims[0], relu=True),
            ConvNorm(dims[0], dims[0], 1, relu=True),
            ConvNorm(dims[0], dims[0], 3, stride=2, groups=dims[0], relu=True),
        )
        self.stages = nn.ModuleList()
        self.transitions = nn.ModuleList()
        rates = drop_path_rates(config.drop_path_rate, config.depths)
        for stage, (dim, kernel_size) in enumerate(zip(dims, config.kernel_sizes, strict=True)):
            blocks: list[nn.Module] = []
            for rate in rates[stage]:
                inner = int(dim * config.dw_ratio)
                blocks.append(
                    LargeKernelBlock(dim, inner, kernel_size, config.small_kernel, merged=config.merged, drop_path=rate)
                )
                blocks.append(FeedForwardBlock(dim, drop_path=rate))
            self.stages.append(nn.ModuleDict({"blocks": nn.Sequential(*blocks)}))
            if stage > 0:
                shrink = ConvNorm(dim, dim, 3, stride=2, groups=dim, relu=True)
                self.transitions.append(nn.Sequential(ConvNorm(dims[stage - 1], dim, 1, relu=True), shrink))
        self.norm = nn.BatchNorm2d(dims[-1])

        self.num_features = dims[-1]
        self.feature_info = FeatureInfo(
            [Feature(dim, 4 * 2**stage, f"stages.{stage}.blocks") for stage, dim in enumerate(dims)]
        )
        self.head = new_classifier(dims[-1], config.num_classes)

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run one stage, including the stem (stage 0) or the transition before it."""
        x = self.stem(x) if index == 0 else self.transitions[index - 1](x)
        return self.run_blocks(self.get_submodule(f"stages.{index}.blocks"), x)

    def normed(self, index: int, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x) if index == len(self.feature_info) - 1 else x
        return y

    def pool(self, x: Tensor) -> Tensor:
        return self.pool_map(x)

    def stage_modules(self, index: int) -> list[str]:
        return [f"stages.{index}", "stem" if index == 0 else f"transitions.{index - 1}"]

    def group_key(self, name: str) -> GroupKey:
        """The stem; each pair of blocks, with the transition before it; the head."""
        module, *rest = name.split(".")
        if module == "stages":
            return int(rest[0]), int(rest[2]) // 2
        if module == "transitions":
            return int(rest[0]) + 1, 0
        return STEM if module == "stem" else HEAD


def reparameterise(network: RepLKNet) -> RepLKNet:
    """Return a copy, equivalent in evaluation, with each block's kernels and norms merged into one convolution."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, LargeKernel):
            module.merge()
    return network


def _folded(layer: ConvNorm) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution with its norm's running statistics folded in."""
    norm = layer.bn
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (layer.conv.weight * scale[:, None, None, None]).detach(), (norm.bias - norm.running_mean * scale).detach()


# --- variants -------------------------------------------------------------------------------------------------------
# Counts are for the training form with two kernels. The published ones exclude the small kernel: 79.539 M and 15.354 G,
# 172.184 M and 95.989 G. 31L and XL were trained on more than ImageNet-1K, so they have no top-1.

_DING = "Ding et al. 2022"


@register_model(RepLKNet, Published("ours, for tests", image_size=64))
def replknet_test() -> RepLKNetConfig:
    return RepLKNetConfig(
        depths=(1, 1, 1, 1), dims=(8, 16, 24, 32), kernel_sizes=(9, 7, 5, 3), small_kernel=3, dw_ratio=1.5
    )


@register_model(RepLKNet, Published(_DING, params_m=79.864, gmacs=15.431, top1=83.5))
def replknet_31b() -> RepLKNetConfig:
    return RepLKNetConfig(dims=(128, 256, 512, 1024))


@register_model(RepLKNet, Published(_DING, params_m=172.671, gmacs=96.332, image_size=384))
def replknet_31l() -> RepLKNetConfig:
    return RepLKNetConfig(dims=(192, 384, 768, 1536))


@register_model(RepLKNet, Published(_DING, params_m=335.436, gmacs=128.730, image_size=320))
def replknet_xl() -> RepLKNetConfig:
    return RepLKNetConfig(dims=(256, 512, 1024, 2048), kernel_sizes=(27, 27, 27, 13), small_kernel=0, dw_ratio=1.5)
