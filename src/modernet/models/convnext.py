"""ConvNeXt and ConvNeXt V2.

Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", 2022, arXiv 2201.03545.
Woo, Debnath, Hu, Chen, Liu, Kweon, Xie, "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders",
2023, arXiv 2301.00808.
Ding, Zhang, Han, Ding, "Scaling Up Your Kernels to 31x31", 2022, arXiv 2203.06717 (the variants with large kernels).

A ResNet modernised step by step with the design choices of a Swin Transformer: its stage ratio, a patchify stem,
depthwise convolution in place of attention (both mix positions and leave channels alone), 7x7 kernels in place of
windows, an inverted bottleneck in place of the MLP, and a single GELU and LayerNorm per block. The result has no
attention and is at least as accurate. V2 adds global response normalisation, which makes the channels of a block
compete, so that masked image pre-training works for a convolutional network too.

    image 3 x 224 x 224                                         convnext_tiny
      4x4 convolution, stride 4, LayerNorm     -> 96 x 56 x 56
      3 x block                                                 block, c channels:
      LayerNorm, 2x2 convolution, stride 2     -> 192 x 28 x 28    7x7 depthwise -> LayerNorm
      3 x block                                                    1x1 to 4c -> GELU (V2: -> GRN)
      ... 9 x block at 384 x 14 x 14, 3 x block at 768 x 7 x 7     1x1 back to c -> layer scale (not V2) -> +
      average pool -> LayerNorm -> linear -> 1000

Parameter names are those of the papers' code (facebookresearch/ConvNeXt and ConvNeXt-V2). The V1 variants atto to nano
were trained by timm. The large-kernel variants train a small depthwise convolution in parallel with the large one;
`merge_small_kernels` then adds it to the large kernel. RepLKNet has a BatchNorm after each branch; ConvNeXt uses no
BatchNorm, so there is none here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import DropPath, LayerNorm2d, drop_path_rates
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.entry import Published, register_model


@dataclass(frozen=True, kw_only=True)
class ConvNeXtConfig(ModelConfig):
    """A ConvNeXt of four stages."""

    depths: tuple[int, ...] = (3, 3, 9, 3)
    """Blocks per stage."""
    dims: tuple[int, ...] = (96, 192, 384, 768)
    """Channels per stage."""
    stem_stride: int = 4
    """Patch size and stride of the stem; 2 or 1 suit images of 64 or 32 pixels."""
    layer_scale_init: float = 1e-6
    """Initial value of layer scale (`gamma`); 0 disables layer scale."""
    grn: bool = False
    """Global response normalisation after the GELU, as in V2."""
    kernel_sizes: tuple[int, ...] = (7,)
    """Sizes of the depthwise kernels, odd: one for all stages, or one per stage."""
    small_kernel: int = 0
    """Size of a second depthwise kernel in parallel with the large one, odd; 0 for none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)


Within = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]
"""Runs a layer on positions that are laid out in another way than in the map: (layer, positions) -> positions."""


class GRN(nn.Module):
    """Global response normalisation over channels-last maps `(b, h, w, c)`.

    Scales each channel by its L2 norm over all positions, relative to the mean norm of the channels.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, dim))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, dim))

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)  # b h w c -> b 1 1 c
        ratio = norm / (norm.mean(-1, keepdim=True) + 1e-6)
        y: Tensor = self.gamma * (x * ratio) + self.beta + x
        return y


class Block(nn.Module):
    """k x k depthwise -> LayerNorm -> 1x1 to 4c -> GELU -> 1x1 back to c, scaled, added. `(b, c, h, w)` in and out.

    The 1x1 convolutions are linear layers on channels-last tensors. That is equivalent, and LayerNorm finds the
    channels in the last dimension.
    """

    def __init__(
        self,
        dim: int,
        *,
        drop_path: float = 0.0,
        layer_scale_init: float = 1e-6,
        grn: bool = False,
        kernel_size: int = 7,
        small_kernel: int = 0,
    ) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        self.dwconv_small: nn.Conv2d | None = None
        if small_kernel:
            self.dwconv_small = nn.Conv2d(dim, dim, small_kernel, padding=small_kernel // 2, groups=dim, bias=False)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.grn = GRN(4 * dim) if grn else nn.Identity()
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(torch.full((dim,), float(layer_scale_init))) if layer_scale_init > 0 else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, within: Within | None = None) -> Tensor:
        """Run the block; `within`, if it is given, runs the depthwise convolution, the only layer that mixes positions.

        The rest takes any (b, c, m, n) that hold the positions of an image, as in pre-training with masked images.
        """
        y = self.mix(x) if within is None else within(self.mix, x)
        y = y.permute(0, 2, 3, 1)  # b c h w -> b h w c
        y = self.norm(y)
        y = self.pwconv1(y)  # c -> 4c
        y = self.act(y)
        y = self.grn(y)
        y = self.pwconv2(y)  # 4c -> c
        y = y if self.gamma is None else self.gamma * y
        y = y.permute(0, 3, 1, 2)  # b h w c -> b c h w
        x = x + self.drop_path(y)
        return x

    def mix(self, x: Tensor) -> Tensor:
        """Run the depthwise convolution, with the small kernel if there is one."""
        y: Tensor = self.dwconv(x)
        return y if self.dwconv_small is None else y + self.dwconv_small(x)

    def merge(self) -> bool:
        """Add the small kernel to the centre of the large one. Return whether there was a small kernel."""
        if self.dwconv_small is None:
            return False
        margin = (self.dwconv.kernel_size[0] - self.dwconv_small.kernel_size[0]) // 2
        with torch.no_grad():
            self.dwconv.weight += F.pad(self.dwconv_small.weight, [margin] * 4)
        self.dwconv_small = None
        return True


class ConvNeXt(Backbone):
    """Patchify stem, four stages with downsampling layers between them, average pool, LayerNorm, linear classifier."""

    classifier_name = "head"
    head_modules = ("norm", "head")
    undecayed: ClassVar[tuple[str, ...]] = ("gamma", "beta")
    map_norm_eps = 1e-6
    crops_edges = True

    def __init__(self, config: ConvNeXtConfig) -> None:
        super().__init__(config)
        dims, stride = config.dims, config.stem_stride
        stem = nn.Sequential(nn.Conv2d(config.in_chans, dims[0], stride, stride), LayerNorm2d(dims[0]))
        between = [nn.Sequential(LayerNorm2d(cin), nn.Conv2d(cin, cout, 2, 2)) for cin, cout in pairwise(dims)]
        self.downsample_layers = nn.ModuleList([stem, *between])
        self.stages = nn.ModuleList(
            nn.Sequential(*[self.block(config, stage, rate) for rate in rates])
            for stage, rates in enumerate(drop_path_rates(config.drop_path_rate, config.depths))
        )
        self.norm = nn.LayerNorm(dims[-1], eps=1e-6)

        self.num_features = dims[-1]
        self.feature_info = FeatureInfo(
            [Feature(dim, stride * 2**stage, f"stages.{stage}") for stage, dim in enumerate(dims)]
        )
        self.apply(init_weights)
        self.head = new_classifier(dims[-1], config.num_classes)

    def block(self, config: ConvNeXtConfig, stage: int, drop_path: float) -> Block:
        """Make a block of a stage."""
        return Block(
            config.dims[stage],
            drop_path=drop_path,
            layer_scale_init=config.layer_scale_init,
            grn=config.grn,
            kernel_size=config.kernel_sizes[stage if len(config.kernel_sizes) > 1 else 0],
            small_kernel=config.small_kernel,
        )

    def stage_modules(self, index: int) -> list[str]:
        return [f"downsample_layers.{index}", f"stages.{index}"]

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run a downsampling layer (the stem for stage 0) and the blocks after it."""
        return self.run_blocks(self.stages[index], self.downsample_layers[index](x))

    def pool(self, x: Tensor) -> Tensor:
        x = self.norm(self.pool_map(x))  # b c h w -> b c
        return x

    def group_key(self, name: str) -> GroupKey:
        """The stem; each block, with the downsampling layer before it; the head."""
        return STEM if name.startswith("downsample_layers.0.") else self.published_group_key(name, "single")

    def layer_groups(self, groups: str = "block") -> list[list[str]]:
        """As in `Backbone`; `stage` is the grouping of the release's segmenters.

        It joins all downsampling layers, gives each stage one group, and leaves groups empty up to the number that
        `paper` has below the head: even the last stage learns at a fraction of the head's rate.
        """
        if groups != "stage":
            return super().layer_groups(groups)
        names = [name for name, _ in self.named_parameters()]
        found: list[list[str]] = [[] for _ in {self.published_group_key(name, "paper") for name in names} - {HEAD}]
        for name in names:
            module, index, *_ = name.split(".")
            if module in ("downsample_layers", "stages"):
                found[int(index) + 1 if module == "stages" else 0].append(name)
        head = [name for name in names if self.group_key(name) == HEAD]
        return [*found, head] if head else found

    def published_group_key(self, name: str, groups: str) -> GroupKey:
        """Groups of the releases: `paper` (V2 calls it "group"), or `single`, which joins the stem to the first block.

        In `paper` each stage is one group, except the third, which has one group per three blocks. With 27 blocks in
        that stage this gives 12 groups below the head, with 9 blocks 6, as in the release's classifiers and its
        detector with Tiny.
        """
        module, *rest = name.split(".")
        if module not in ("downsample_layers", "stages"):
            return HEAD
        stage, block = int(rest[0]), int(rest[1]) if module == "stages" else 0
        if groups == "single":
            return stage, block
        if groups != "paper":
            return super().published_group_key(name, groups)
        if module == "downsample_layers" and stage == 0:
            return STEM
        return stage, block // 3 if stage == 2 else 0


def merge_small_kernels(network: ConvNeXt) -> ConvNeXt:
    """Return an equivalent copy whose small kernels are added to the centre of the large ones."""
    network = copy.deepcopy(network)
    for block in network.modules():
        if isinstance(block, Block):
            block.merge()
    return network


def _check(config: ConvNeXtConfig) -> None:
    if len(config.depths) != len(config.dims) or min(config.depths, default=0) < 1 or min(config.dims) < 1:
        raise InputError(
            f"depths {config.depths} and dims {config.dims}: give one number above 0 in each for every stage"
        )
    if len(config.kernel_sizes) not in (1, len(config.depths)) or any(k < 1 or k % 2 == 0 for k in config.kernel_sizes):
        raise InputError(
            f"kernel_sizes is {config.kernel_sizes}; give one odd number, "
            f"or one for each of {len(config.depths)} stages"
        )
    if config.small_kernel and (config.small_kernel % 2 == 0 or not 0 < config.small_kernel < min(config.kernel_sizes)):
        raise InputError(f"small_kernel is {config.small_kernel}; give an odd number below each of kernel_sizes, or 0")
    if config.stem_stride < 1:
        raise InputError(f"stem_stride is {config.stem_stride}; give 1 or more")
    if config.layer_scale_init < 0:
        raise InputError(
            f"layer_scale_init is {config.layer_scale_init}; give a number above 0, or 0 for no layer scale"
        )


def init_weights(module: nn.Module) -> None:
    """Initialise weights from a truncated normal (std 0.02) and biases with zero; for `Module.apply`."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)  # as in the paper's code; its table 5 prints 0.2
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# --- variants -------------------------------------------------------------------------------------------------------

_LIU = "Liu et al. 2022, table 1"


@register_model(ConvNeXt, Published("ours, for tests", image_size=64))
def convnext_test() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(1, 1, 2, 1), dims=(8, 16, 32, 64))


@register_model(ConvNeXt, Published(_LIU, params_m=28.589, gmacs=4.4555, top1=82.1))
def convnext_tiny() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 9, 3), dims=(96, 192, 384, 768))


@register_model(ConvNeXt, Published(_LIU, params_m=50.224, gmacs=8.6837, top1=83.1))
def convnext_small() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 27, 3), dims=(96, 192, 384, 768))


@register_model(ConvNeXt, Published(_LIU, params_m=88.591, gmacs=15.3547, top1=83.8))
def convnext_base() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 27, 3), dims=(128, 256, 512, 1024))


@register_model(ConvNeXt, Published(_LIU, params_m=197.767, gmacs=34.3614, top1=84.3))
def convnext_large() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 27, 3), dims=(192, 384, 768, 1536))


# published with ImageNet-22K pre-training only, so there is no ImageNet-1K figure
@register_model(ConvNeXt, Published(_LIU, params_m=350.197, gmacs=60.9210))
def convnext_xlarge() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 27, 3), dims=(256, 512, 1024, 2048))


_WIGHTMAN = "timm (Wightman); depths and widths in Woo et al. 2023"


@register_model(ConvNeXt, Published(_WIGHTMAN, params_m=3.696, gmacs=0.5473, top1=75.672))
def convnext_atto() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(2, 2, 6, 2), dims=(40, 80, 160, 320))


@register_model(ConvNeXt, Published(_WIGHTMAN, params_m=5.218, gmacs=0.7796, top1=77.498))
def convnext_femto() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(2, 2, 6, 2), dims=(48, 96, 192, 384))


@register_model(ConvNeXt, Published(_WIGHTMAN, params_m=9.046, gmacs=1.3671, top1=79.516))
def convnext_pico() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(2, 2, 6, 2), dims=(64, 128, 256, 512))


@register_model(ConvNeXt, Published(_WIGHTMAN, params_m=15.594, gmacs=2.4455, top1=80.762))
def convnext_nano() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(2, 2, 8, 2), dims=(80, 160, 320, 640))


_DING = "Ding et al. 2022, appendix; counted with the 5x5 branches"


@register_model(ConvNeXt, Published("ours, for tests", image_size=64))
def convnext_large_kernel_test() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(1, 1), dims=(8, 16), kernel_sizes=(9, 7), small_kernel=3)


@register_model(ConvNeXt, Published(_DING, params_m=32.100, gmacs=6.1647))
def convnext_tiny_31() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 9, 3), dims=(96, 192, 384, 768), kernel_sizes=(31, 29, 27, 13), small_kernel=5)


@register_model(ConvNeXt, Published(_DING, params_m=58.608, gmacs=11.3479))
def convnext_small_31() -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=(3, 3, 27, 3), dims=(96, 192, 384, 768), kernel_sizes=(31, 29, 27, 13), small_kernel=5)


@register_model(ConvNeXt, Published(_DING, params_m=99.770, gmacs=18.9070))
def convnext_base_31() -> ConvNeXtConfig:
    return ConvNeXtConfig(
        depths=(3, 3, 27, 3), dims=(128, 256, 512, 1024), kernel_sizes=(31, 29, 27, 13), small_kernel=5
    )


def _v2(depths: tuple[int, ...], dims: tuple[int, ...]) -> ConvNeXtConfig:
    return ConvNeXtConfig(depths=depths, dims=dims, grn=True, layer_scale_init=0.0)


# top-1 of supervised training where the paper gives it; the fine-tuned models were pre-trained on the same images
_WOO = "Woo et al. 2023, tables 14 and 15"


@register_model(ConvNeXt, Published("ours, for tests", image_size=64))
def convnextv2_test() -> ConvNeXtConfig:
    return _v2((1, 1, 2, 1), (8, 16, 32, 64))


@register_model(ConvNeXt, Published(_WOO, params_m=3.708, gmacs=0.5473, top1=76.2))
def convnextv2_atto() -> ConvNeXtConfig:
    return _v2((2, 2, 6, 2), (40, 80, 160, 320))


@register_model(ConvNeXt, Published(_WOO, params_m=5.233, gmacs=0.7796, top1=78.0))
def convnextv2_femto() -> ConvNeXtConfig:
    return _v2((2, 2, 6, 2), (48, 96, 192, 384))


@register_model(ConvNeXt, Published(_WOO, params_m=9.066, gmacs=1.3671, top1=79.7))
def convnextv2_pico() -> ConvNeXtConfig:
    return _v2((2, 2, 6, 2), (64, 128, 256, 512))


@register_model(ConvNeXt, Published(_WOO, params_m=15.624, gmacs=2.4455, top1=81.2))
def convnextv2_nano() -> ConvNeXtConfig:
    return _v2((2, 2, 8, 2), (80, 160, 320, 640))


@register_model(ConvNeXt, Published(_WOO, params_m=28.635, gmacs=4.4555, top1=82.5))
def convnextv2_tiny() -> ConvNeXtConfig:
    return _v2((3, 3, 9, 3), (96, 192, 384, 768))


@register_model(ConvNeXt, Published(_WOO, params_m=88.718, gmacs=15.3547, top1=84.3))
def convnextv2_base() -> ConvNeXtConfig:
    return _v2((3, 3, 27, 3), (128, 256, 512, 1024))


@register_model(ConvNeXt, Published(_WOO, params_m=197.957, gmacs=34.3614, top1=84.5))
def convnextv2_large() -> ConvNeXtConfig:
    return _v2((3, 3, 27, 3), (192, 384, 768, 1536))


@register_model(ConvNeXt, Published(_WOO, params_m=660.290, gmacs=114.9221))
def convnextv2_huge() -> ConvNeXtConfig:
    return _v2((3, 3, 27, 3), (352, 704, 1408, 2816))
