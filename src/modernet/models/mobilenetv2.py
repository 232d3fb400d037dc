"""MobileNetV2.

Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, arXiv 1801.04381.

The network that inverted the residual bottleneck: wide inside, narrow between blocks, with a depthwise convolution in
the wide part, where it is cheap, and no activation at the narrow end, where it would lose information. ConvNeXt takes
the inverted bottleneck from here (by way of the transformer's MLP, which has the same shape) and the depthwise
convolution from here and from ResNeXt.

    image 3 x 224 x 224                                       mobilenet_v2
      3x3 convolution, stride 2              -> 32 x 112 x 112     block, c channels:
      1 block                                -> 16 x 112 x 112       1x1 to 6c, BN, ReLU6
      2 blocks, the first with stride 2      -> 24 x 56 x 56         3x3 depthwise, BN, ReLU6
      3 blocks, the first with stride 2      -> 32 x 28 x 28         1x1 to c, BN -> + (if the shape is unchanged)
      4 and 3 blocks, the first with stride 2 -> 64, then 96 x 14 x 14
      3 and 1 blocks, the first with stride 2 -> 160, then 320 x 7 x 7
      1x1 convolution                        -> 1280 x 7 x 7
      average pool -> dropout -> linear -> 1000

Parameter names are torchvision's. As in the paper, the last 1280 channels scale with a width above 1 but never shrink.
Drop path on the residual branches is an option that the paper does not have.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from modernet.errors import InputError
from modernet.layers import DropPath, drop_path_rates
from modernet.models.backbone import HEAD, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.entry import Published, register_model

_WIDTHS = (16, 24, 32, 64, 96, 160, 320)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)


@dataclass(frozen=True, kw_only=True)
class MobileNetV2Config(ModelConfig):
    """A MobileNetV2."""

    width_mult: float = 1.0
    """Width multiplier; channels are rounded to multiples of 8."""
    depths: tuple[int, ...] = (1, 2, 3, 4, 3, 3, 1)
    """Blocks in each of the seven groups of equal width."""
    drop_rate: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width_mult <= 0:
            raise InputError(f"width_mult is {self.width_mult}; give a factor above 0")
        if len(self.depths) != len(_WIDTHS) or min(self.depths) < 1:
            raise InputError(f"depths is {self.depths}; give seven numbers above 0")


class ConvBNReLU6(nn.Sequential):
    """Convolution, BatchNorm, ReLU6. `(b, cin, h, w) -> (b, cout, h / stride, w / stride)`."""

    def __init__(self, cin: int, cout: int, kernel_size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(cin, cout, kernel_size, stride, kernel_size // 2, groups=groups, bias=False),
            nn.BatchNorm2d(cout),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    """1x1 to `expand` times the channels -> 3x3 depthwise -> 1x1, with a shortcut where the shapes match.

    `(b, cin, h, w) -> (b, cout, h / stride, w / stride)`.
    """

    def __init__(self, cin: int, cout: int, *, stride: int = 1, expand: int = 6, drop_path: float = 0.0) -> None:
        super().__init__()
        hidden = cin * expand
        layers: list[nn.Module] = [] if expand == 1 else [ConvBNReLU6(cin, hidden, 1)]
        layers += [ConvBNReLU6(hidden, hidden, 3, stride, groups=hidden)]
        layers += [nn.Conv2d(hidden, cout, 1, bias=False), nn.BatchNorm2d(cout)]
        self.conv = nn.Sequential(*layers)
        self.has_shortcut = stride == 1 and cin == cout
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + self.drop_path(y) if self.has_shortcut else y


class MobileNetV2(Backbone):
    """Stem, inverted residual blocks, a wide 1x1 convolution, average pool, dropout, linear classifier."""

    classifier_name = "classifier.1"
    head_modules = ("classifier.1",)

    def __init__(self, config: MobileNetV2Config) -> None:
        super().__init__(config)
        cin = round_to_eight(32 * config.width_mult)
        layers: list[nn.Module] = [ConvBNReLU6(config.in_chans, cin, 3, 2)]
        ends, reduction = [], 2  # a stage ends before the next strided block
        for width, stride, rates in zip(
            _WIDTHS, _STRIDES, drop_path_rates(config.drop_path_rate, config.depths), strict=True
        ):
            if stride == 2:
                ends.append(Feature(cin, reduction, f"features.{len(layers) - 1}"))
                reduction *= 2
            cout = round_to_eight(width * config.width_mult)
            for index, rate in enumerate(rates):
                first = index == 0
                expand = 1 if len(layers) == 1 else 6
                layers.append(InvertedResidual(cin, cout, stride=stride if first else 1, expand=expand, drop_path=rate))
                cin = cout
        self.num_features = round_to_eight(1280 * max(1.0, config.width_mult))
        layers.append(ConvBNReLU6(cin, self.num_features, 1))
        ends.append(Feature(self.num_features, reduction, f"features.{len(layers) - 1}"))
        self.features = nn.Sequential(*layers)
        self.feature_info = FeatureInfo(ends)
        self._ends = [int(end.module.removeprefix("features.")) + 1 for end in ends]
        self.apply(_init)
        self.classifier = nn.Sequential(
            nn.Dropout(config.drop_rate), new_classifier(self.num_features, config.num_classes)
        )

    def stage_modules(self, index: int) -> list[str]:
        return [f"features.{layer}" for layer in self._layers(index)]

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run the layers at one resolution; the last stage includes the wide 1x1 convolution."""
        for layer in self._layers(index):
            block = self.features[layer]
            x = self.run_blocks(block, x) if isinstance(block, InvertedResidual) else block(x)
        return x

    def pool(self, x: Tensor) -> Tensor:
        return self.pool_map(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Also applies dropout before the classifier."""
        if pre_logits or self.num_classes == 0 or not self.global_pool:
            return super().forward_head(x, pre_logits)
        scores: Tensor = self.classifier(self.pool(x))
        return scores

    def group_key(self, name: str) -> GroupKey:
        """The stem; each block; the wide convolution; the classifier."""
        module, layer, *_ = name.split(".")
        return (int(layer),) if module == "features" else HEAD

    def _layers(self, index: int) -> range:
        return range(self._ends[index - 1] if index else 0, self._ends[index])


def round_to_eight(channels: float) -> int:
    """Round to the nearest multiple of 8, at least 8, and never below 90 % of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")


# --- variants -------------------------------------------------------------------------------------------------------


@register_model(MobileNetV2, Published("ours, for tests", image_size=64))
def mobilenet_v2_test() -> MobileNetV2Config:
    return MobileNetV2Config(width_mult=0.1, depths=(1, 1, 1, 2, 1, 1, 1))


@register_model(
    MobileNetV2, Published("Sandler et al. 2018; top-1 torchvision V1", params_m=3.505, gmacs=0.3008, top1=71.878)
)
def mobilenet_v2() -> MobileNetV2Config:
    return MobileNetV2Config()


@register_model(
    MobileNetV2, Published("Sandler et al. 2018, table 4, which prints 6.9 M", params_m=6.109, gmacs=0.5822, top1=74.7)
)
def mobilenet_v2_140() -> MobileNetV2Config:
    return MobileNetV2Config(width_mult=1.4)
