"""ResNet, ResNeXt and ResNet-D.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015, arXiv 1512.03385.
Xie, Girshick, Dollar, Tu, He, "Aggregated Residual Transformations for Deep Neural Networks", 2016, arXiv 1611.05431.
He, Zhang, Zhang, Zhang, Xie, Li, "Bag of Tricks for Image Classification with Convolutional Neural Networks", 2018,
arXiv 1812.01187 (ResNet-D).

A block learns a residual to add to its input rather than a replacement for it, so a hundred layers train as easily as
ten. A bottleneck makes its 3x3 convolution cheap with 1x1 convolutions around it. ResNeXt splits the 3x3 into groups,
which buys width at equal cost and is the step before depthwise convolution. ResNet-D discards less information: three
3x3 convolutions replace the stem's 7x7, and an average pool precedes the shortcut's 1x1, whose stride of 2 would skip
three of four positions.

    image 3 x 224 x 224                                            resnet50
      7x7 convolution, stride 2 -> BatchNorm, ReLU -> 64 x 112 x 112
      3x3 max-pool, stride 2                       -> 64 x 56 x 56    bottleneck of width w:
      3 x bottleneck, w = 64                       -> 256 x 56 x 56      1x1 to w -> BatchNorm, ReLU
      4 x bottleneck, w = 128                      -> 512 x 28 x 28      3x3 (stride 2 in a stage's first)
      6 x bottleneck, w = 256                      -> 1024 x 14 x 14        -> BatchNorm, ReLU
      3 x bottleneck, w = 512                      -> 2048 x 7 x 7       1x1 to 4w -> BatchNorm -> + -> ReLU
      average pool -> linear -> 1000

Parameter names are torchvision's, which most checkpoints use, and timm's for ResNet-D. As in both, the stride of a
bottleneck is on its 3x3 convolution ("v1.5"), not on the first 1x1 as in the paper. ResNet-200 has the
post-activation blocks of its smaller siblings; in He et al. 2016 ("Identity Mappings", arXiv 1603.05027) norm and
activation come before the convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from modernet.errors import InputError
from modernet.layers import DropPath, drop_path_rates
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.entry import Published, register_model


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(ModelConfig):
    """A ResNet. ResNeXt has `groups` > 1; `base_width` is the width of a group in the first stage."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks per stage."""
    block: Literal["basic", "bottleneck"] = "bottleneck"
    width: int = 64
    """Channels of the stem and of the first stage's 3x3 convolutions (before `base_width`); doubles at each stage."""
    groups: int = 1
    base_width: int = 64
    stem_stride: int = 4
    """Stride after the stem: 4 as published, 2 without the max-pool, 1 also with a 3x3 convolution of stride 1."""
    deep_stem: bool = False
    """Three 3x3 convolutions in place of the stem's 7x7, as in ResNet-D."""
    avg_down: bool = False
    """Downsample shortcuts with a 2x2 average pool instead of a strided 1x1, as in ResNet-D."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.depths, default=0) < 1:
            raise InputError(f"depths is {self.depths}; give one number above 0 for every stage")
        if self.block not in ("basic", "bottleneck"):
            raise InputError(f"block is {self.block!r}; give 'basic' or 'bottleneck'")
        if self.block == "basic" and (self.groups, self.base_width) != (1, 64):
            raise InputError(
                f"groups is {self.groups} and base_width is {self.base_width}; basic blocks have 1 and 64, "
                "others need block='bottleneck'"
            )
        if self.stem_stride not in (1, 2, 4):
            raise InputError(f"stem_stride is {self.stem_stride}; give 4, or 2 or 1 for images of 64 or 32 pixels")
        if self.groups < 1 or self.width * self.base_width < 64:
            raise InputError(
                f"width is {self.width}, groups {self.groups} and base_width {self.base_width}, leaving no channel; "
                "give 1 group or more, and width x base_width of 64 or more"
            )


class BasicBlock(nn.Module):
    """3x3 -> 3x3, with a shortcut. `(b, cin, h, w) -> (b, width, h / stride, w / stride)`."""

    expansion = 1

    def __init__(
        self,
        cin: int,
        width: int,
        *,
        stride: int = 1,
        groups: int = 1,
        base_width: int = 64,
        avg_down: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        assert groups == 1, "grouped convolution is defined for bottlenecks only"
        self.conv1 = nn.Conv2d(cin, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU(inplace=True)
        self.downsample = shortcut(cin, width, stride, avg_down)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        x = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.act2(x + self.drop_path(y))
        return out


class Bottleneck(nn.Module):
    """1x1 -> 3x3 (stride and groups here) -> 1x1. `(b, cin, h, w) -> (b, 4 width, h / stride, w / stride)`."""

    expansion = 4

    def __init__(
        self,
        cin: int,
        width: int,
        *,
        stride: int = 1,
        groups: int = 1,
        base_width: int = 64,
        avg_down: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        inner = width * base_width // 64 * groups
        cout = width * self.expansion
        self.conv1 = nn.Conv2d(cin, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.act2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(inner, cout, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(cout)
        self.act3 = nn.ReLU(inplace=True)
        self.downsample = shortcut(cin, cout, stride, avg_down)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.act2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        x = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.act3(x + self.drop_path(y))
        return out


def shortcut(cin: int, cout: int, stride: int, avg_down: bool = False) -> nn.Sequential | None:
    """Return the shortcut projection of a block whose output shape differs from its input; None for the identity."""
    if stride == 1 and cin == cout:
        return None
    if avg_down:
        pool = nn.Identity() if stride == 1 else nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
        return nn.Sequential(pool, nn.Conv2d(cin, cout, 1, bias=False), nn.BatchNorm2d(cout))
    return nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))


class ResNet(Backbone):
    """Stem and max-pool, four stages of residual blocks, average pool, linear classifier."""

    classifier_name = "fc"
    head_modules = ("fc",)

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        block: type[BasicBlock | Bottleneck] = BasicBlock if config.block == "basic" else Bottleneck

        stem_stride = config.stem_stride
        stride, kernel = (1, 3) if stem_stride == 1 else (2, 7)
        self.conv1: nn.Module = (
            _deep_stem(config.in_chans, config.width, stride)
            if config.deep_stem
            else nn.Conv2d(config.in_chans, config.width, kernel, stride, padding=kernel // 2, bias=False)
        )
        self.bn1 = nn.BatchNorm2d(config.width)
        self.act1 = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem_stride == 4 else nn.Identity()

        features = [Feature(config.width, stride, "act1")]
        cin = config.width
        rates = drop_path_rates(config.drop_path_rate, config.depths)
        for stage, depth in enumerate(config.depths):
            width = config.width * 2**stage
            blocks = []
            for index in range(depth):
                blocks.append(
                    block(
                        cin,
                        width,
                        stride=2 if stage > 0 and index == 0 else 1,
                        groups=config.groups,
                        base_width=config.base_width,
                        avg_down=config.avg_down,
                        drop_path=rates[stage][index],
                    )
                )
                cin = width * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            features.append(Feature(cin, stem_stride * 2**stage, f"layer{stage + 1}"))

        self.num_features = cin
        self.feature_info = FeatureInfo(features)
        self.apply(_init)
        self.fc = new_classifier(cin, config.num_classes)

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run one stage: 0 is the stem before the max-pool, 1 to 4 are `layer1` to `layer4`."""
        if index == 0:
            x = self.act1(self.bn1(self.conv1(x)))
            return x
        if index == 1:
            x = self.maxpool(x)
        return self.run_blocks(self.get_submodule(f"layer{index}"), x)

    def pool(self, x: Tensor) -> Tensor:
        return self.pool_map(x)

    def group_key(self, name: str) -> GroupKey:
        """The stem; each block; the classifier."""
        module, block, *_ = name.split(".")
        if module.startswith("layer"):
            return int(module.removeprefix("layer")), int(block)
        return HEAD if module == "fc" else STEM


def _deep_stem(in_chans: int, width: int, stride: int) -> nn.Sequential:
    """Strided 3x3 -> 3x3 -> 3x3, the first two at half the width."""
    half = width // 2
    return nn.Sequential(
        nn.Conv2d(in_chans, half, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(inplace=True),
        nn.Conv2d(half, half, 3, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(inplace=True),
        nn.Conv2d(half, width, 3, padding=1, bias=False),
    )


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


# --- variants -------------------------------------------------------------------------------------------------------
# top-1 of torchvision's first weights (V1), trained for 90 epochs with the classic recipe

_HE = "He et al. 2015; top-1 torchvision V1"
_XIE = "Xie et al. 2016; top-1 torchvision V1"


@register_model(ResNet, Published("ours, for tests", image_size=64))
def resnet_test() -> ResNetConfig:
    return ResNetConfig(depths=(1, 1, 1, 1), width=8)


@register_model(ResNet, Published(_HE, params_m=11.690, gmacs=1.814, top1=69.758))
def resnet18() -> ResNetConfig:
    return ResNetConfig(depths=(2, 2, 2, 2), block="basic")


@register_model(ResNet, Published(_HE, params_m=21.798, gmacs=3.664, top1=73.314))
def resnet34() -> ResNetConfig:
    return ResNetConfig(depths=(3, 4, 6, 3), block="basic")


@register_model(ResNet, Published(_HE, params_m=25.557, gmacs=4.089, top1=76.130))
def resnet50() -> ResNetConfig:
    return ResNetConfig(depths=(3, 4, 6, 3))


@register_model(ResNet, Published(_HE, params_m=44.549, gmacs=7.801, top1=77.374))
def resnet101() -> ResNetConfig:
    return ResNetConfig(depths=(3, 4, 23, 3))


@register_model(ResNet, Published(_HE, params_m=60.193, gmacs=11.514, top1=78.312))
def resnet152() -> ResNetConfig:
    return ResNetConfig(depths=(3, 8, 36, 3))


@register_model(ResNet, Published("He et al. 2016; top-1 Liu et al. 2022", params_m=64.674, gmacs=15.0075, top1=78.20))
def resnet200() -> ResNetConfig:
    return ResNetConfig(depths=(3, 24, 36, 3))


@register_model(ResNet, Published("ours, for tests", image_size=64))
def resnext_test() -> ResNetConfig:
    return ResNetConfig(depths=(1, 1, 1, 1), width=8, groups=4, base_width=32)


@register_model(ResNet, Published(_XIE, params_m=25.029, gmacs=4.230, top1=77.618))
def resnext50_32x4d() -> ResNetConfig:
    return ResNetConfig(depths=(3, 4, 6, 3), groups=32, base_width=4)


@register_model(ResNet, Published("Xie et al. 2016", params_m=44.178, gmacs=7.970))
def resnext101_32x4d() -> ResNetConfig:
    return ResNetConfig(depths=(3, 4, 23, 3), groups=32, base_width=4)


@register_model(ResNet, Published(_XIE, params_m=88.791, gmacs=16.414, top1=79.312))
def resnext101_32x8d() -> ResNetConfig:
    return ResNetConfig(depths=(3, 4, 23, 3), groups=32, base_width=8)


@register_model(
    ResNet,
    Published("Xie et al. 2016; top-1 torchvision, newer recipe", params_m=83.455, gmacs=15.460, top1=83.246),
)
def resnext101_64x4d() -> ResNetConfig:
    return ResNetConfig(depths=(3, 4, 23, 3), groups=64, base_width=4)


# ResNet-D: 50 layers are from the paper, the others from timm

_D = "He et al. 2018; counts timm"


@register_model(ResNet, Published("ours, for tests", image_size=64))
def resnetd_test() -> ResNetConfig:
    return ResNetConfig(depths=(1, 1, 1, 1), width=8, deep_stem=True, avg_down=True)


@register_model(ResNet, Published(_D, params_m=25.576, gmacs=4.3288))
def resnet50d() -> ResNetConfig:
    return ResNetConfig(depths=(3, 4, 6, 3), deep_stem=True, avg_down=True)


@register_model(ResNet, Published(_D, params_m=44.568, gmacs=8.0410))
def resnet101d() -> ResNetConfig:
    return ResNetConfig(depths=(3, 4, 23, 3), deep_stem=True, avg_down=True)


@register_model(ResNet, Published(_D, params_m=60.212, gmacs=11.7533))
def resnet152d() -> ResNetConfig:
    return ResNetConfig(depths=(3, 8, 36, 3), deep_stem=True, avg_down=True)


@register_model(ResNet, Published(_D, params_m=64.693, gmacs=15.2471))
def resnet200d() -> ResNetConfig:
    return ResNetConfig(depths=(3, 24, 36, 3), deep_stem=True, avg_down=True)
