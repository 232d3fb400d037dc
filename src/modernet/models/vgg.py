"""VGG.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014, arXiv 1409.1556.

One rule for the whole network: only 3x3 convolutions, with a max-pool after every few that halves the map, and twice
the channels after it. Two 3x3 convolutions cover the receptive field of one 5x5 with fewer weights and an extra
nonlinearity, which made 16 to 19 weight layers trainable where AlexNet had 8. It came second in ImageNet
classification in 2014 and was for years the backbone of detectors (Fast R-CNN, SSD) and of perceptual losses; the
ResNets that replaced it kept its 3x3 convolutions and channel doubling. Most of its weights (103 of VGG-16's 138
million) are in a single layer, the first linear one.

    image                       3 x 224 x 224     (VGG-16)
    2 x (3x3 conv, ReLU)       64 x 224 x 224  -> feature 0
    max-pool, 2 x ...         128 x 112 x 112  -> feature 1
    max-pool, 3 x ...         256 x  56 x  56  -> feature 2
    max-pool, 3 x ...         512 x  28 x  28  -> feature 3
    max-pool, 3 x ...         512 x  14 x  14  -> feature 4, "conv5_3"
    max-pool                  512 x   7 x   7  -> feature 5
    linear, ReLU, dropout    4096
    linear, ReLU, dropout    4096
    linear                   1000

Parameter names are torchvision's; the paper's own release is in Caffe's format. The variants are the paper's
configurations A, B, D and E. Deviations, as in torchvision: weights are initialised as in He et al. 2015 (the paper
initialised its deep networks from the trained shallow one), the `_bn` variants have a BatchNorm after every
convolution, and maps are average-pooled to 7x7, so images from 32x32 work.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models.backbone import Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.entry import Published, register_model
from modernet.models.image_size import at_least


@dataclass(frozen=True, kw_only=True)
class VGGConfig(ModelConfig):
    """A VGG."""

    depths: tuple[int, ...] = (2, 2, 3, 3, 3)
    """3x3 convolutions per stage; each stage is followed by a max-pool."""
    dims: tuple[int, ...] = (64, 128, 256, 512, 512)
    """Channels per stage."""
    batch_norm: bool = False
    """Add a BatchNorm after every convolution."""
    hidden: int = 4096
    """Width of the two linear layers before the classifier."""
    drop_rate: float = 0.5
    """Dropout rate after each of those two layers."""

    pools = ("avg", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.drop_path_rate > 0:
            raise InputError(f"drop_path_rate is {self.drop_path_rate}; a VGG has no residual branches to drop")
        if len(self.depths) != len(self.dims) or min(self.depths, default=0) < 1 or min(self.dims) < 1:
            raise InputError(
                f"depths {self.depths} and dims {self.dims}: give one number above 0 in each for every stage"
            )
        if self.hidden < 1:
            raise InputError(f"hidden is {self.hidden}; give 1 or more")


class VGG(Backbone):
    """Stages of 3x3 convolutions with a max-pool after each, then three linear layers."""

    classifier_name = "classifier.6"
    head_modules = ("classifier",)
    regrows_head = False
    has_blocks = False
    crops_edges = True

    def __init__(self, config: VGGConfig) -> None:
        super().__init__(config)
        layers: list[nn.Module] = []
        features: list[Feature] = []
        cin = config.in_chans
        for stage, (depth, dim) in enumerate(zip(config.depths, config.dims, strict=True)):
            for _ in range(depth):
                norm = [nn.BatchNorm2d(dim)] if config.batch_norm else []
                layers += [nn.Conv2d(cin, dim, 3, padding=1), *norm, nn.ReLU(inplace=True)]
                cin = dim
            features.append(Feature(dim, 2**stage, f"features.{len(layers) - 1}"))
            layers.append(nn.MaxPool2d(2, 2))
        features.append(Feature(cin, 2 ** len(config.dims), f"features.{len(layers) - 1}"))

        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(cin * 7 * 7, config.hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(config.drop_rate),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(config.drop_rate),
            nn.Identity(),  # replaced by the classifier after _init
        )
        self.num_features = cin
        self._hidden = config.hidden
        self.feature_info = FeatureInfo(features)
        self.apply(_init)
        self.classifier[6] = new_classifier(config.hidden, config.num_classes)

    @property
    def head_hidden_size(self) -> int:
        return self._hidden

    def stage_modules(self, index: int) -> list[str]:
        return [f"features.{layer}" for layer in self._layers(index)]

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run a max-pool (not in stage 0) and the convolutions after it; the last stage is only the final max-pool."""
        if index == 0:
            x = at_least(x, 2 ** (len(self.feature_info) - 1))
        for layer in self._layers(index):
            x = self.features[layer](x)
        return x

    def pool(self, x: Tensor) -> Tensor:
        """Pool the map to 7x7 and run the two hidden linear layers."""
        x = self.avgpool(x).flatten(1)
        for layer in range(6):
            x = self.classifier[layer](x)
        return x

    def _classify(self, x: Tensor) -> Tensor:
        """Without another dropout: `pool` has applied it."""
        scores: Tensor = self.get_classifier()(x)
        return scores

    def group_key(self, name: str) -> GroupKey:
        """Each convolution with its norm; each linear layer."""
        module, layer, *_ = name.split(".")
        index = int(layer)
        if module == "classifier":
            return 1, index
        return 0, index - isinstance(self.features[index], nn.BatchNorm2d)

    def _layers(self, index: int) -> range:
        """Return the indices of a stage's layers in `features`."""
        ends = [int(feature.module.split(".")[1]) + 1 for feature in self.feature_info]
        return range(ends[index - 1] if index else 0, ends[index])


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


# --- variants -------------------------------------------------------------------------------------------------------
# top-1 as reported by torchvision for its weights, single centre crop

_SOURCE = "Simonyan & Zisserman 2014; top-1 torchvision"


@register_model(VGG, Published("ours, for tests", image_size=64))
def vgg_test() -> VGGConfig:
    return VGGConfig(depths=(1, 2, 1), dims=(8, 12, 16), hidden=32)


@register_model(VGG, Published("ours, for tests", image_size=64))
def vgg_bn_test() -> VGGConfig:
    return VGGConfig(depths=(1, 2, 1), dims=(8, 12, 16), hidden=32, batch_norm=True)


@register_model(VGG, Published(_SOURCE, params_m=132.863, gmacs=7.609, top1=69.020))
def vgg11() -> VGGConfig:
    return VGGConfig(depths=(1, 1, 2, 2, 2))


@register_model(VGG, Published(_SOURCE, params_m=132.869, gmacs=7.609, top1=70.370))
def vgg11_bn() -> VGGConfig:
    return VGGConfig(depths=(1, 1, 2, 2, 2), batch_norm=True)


@register_model(VGG, Published(_SOURCE, params_m=133.048, gmacs=11.308, top1=69.928))
def vgg13() -> VGGConfig:
    return VGGConfig(depths=(2, 2, 2, 2, 2))


@register_model(VGG, Published(_SOURCE, params_m=133.054, gmacs=11.308, top1=71.586))
def vgg13_bn() -> VGGConfig:
    return VGGConfig(depths=(2, 2, 2, 2, 2), batch_norm=True)


@register_model(VGG, Published(_SOURCE, params_m=138.358, gmacs=15.470, top1=71.592))
def vgg16() -> VGGConfig:
    return VGGConfig(depths=(2, 2, 3, 3, 3))


@register_model(VGG, Published(_SOURCE, params_m=138.366, gmacs=15.470, top1=73.360))
def vgg16_bn() -> VGGConfig:
    return VGGConfig(depths=(2, 2, 3, 3, 3), batch_norm=True)


@register_model(VGG, Published(_SOURCE, params_m=143.667, gmacs=19.632, top1=72.376))
def vgg19() -> VGGConfig:
    return VGGConfig(depths=(2, 2, 4, 4, 4))


@register_model(VGG, Published(_SOURCE, params_m=143.678, gmacs=19.632, top1=74.218))
def vgg19_bn() -> VGGConfig:
    return VGGConfig(depths=(2, 2, 4, 4, 4), batch_norm=True)
