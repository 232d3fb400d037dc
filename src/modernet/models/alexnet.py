"""AlexNet.

Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012.
Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, arXiv 1404.5997.

The network that won ImageNet classification in 2012 by almost eleven points of top-5 error and turned the field to
learned features: LeNet-5's layout at a thousand times the size, with ReLUs in place of tanh, dropout in the linear
layers, overlapping max-pools, and local response normalisation, in which strong channels suppress their neighbours.
It was split into two towers, one for each of two GPUs with 3 GB, which exchange channels only in the third convolution
and in the linear layers; that is the origin of grouped convolution. `alexnet` is that network; `alexnet_one_tower` is
its single-device successor of 2014, best known as torchvision's `alexnet`.

    image                                  3 x 224 x 224                      (alexnet)
    11x11 conv stride 4, ReLU             96 x  55 x  55  -> feature 0
    normalisation, max-pool 3x3 stride 2  96 x  27 x  27
    5x5 conv in 2 groups, ReLU           256 x  27 x  27  -> feature 1
    normalisation, max-pool 3x3 stride 2 256 x  13 x  13
    3x3 conv, ReLU                       384 x  13 x  13
    3x3 conv in 2 groups, ReLU           384 x  13 x  13
    3x3 conv in 2 groups, ReLU           256 x  13 x  13  -> feature 2
    max-pool 3x3 stride 2                256 x   6 x   6  -> feature 3
    linear, ReLU, dropout               4096
    linear, ReLU, dropout               4096
    linear                              1000

Parameter names are torchvision's, in which layer indices also count layers without parameters; the original release
(cuda-convnet) has its own format.
Two towers: 11x11 windows at stride 4 give 55x55 only if they may extend over the border of 224x224. As in cuda-
convnet, images are padded at the right and bottom until the windows cover them: 224 becomes 227 (and images of
227x227, which Caffe's version takes, are not padded). The paper counts 253,440 neurons in the first layer, but
55x55x96 is 290,400. Channels are normalised across both towers, as in the paper's formula and in Caffe, with the
paper's constants (Caffe has k = 1 and a fifth of its alpha).
One tower: as in torchvision, without the normalisation that the 2014 release kept, and with PyTorch's default
initialisation.
Deviations of both: maps are average-pooled to 6x6, as in torchvision, so other image sizes work; the classifier is
initialised as in the rest of this zoo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models.backbone import Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.entry import Published, register_model
from modernet.models.image_size import at_least
from modernet.preparation import Size


@dataclass(frozen=True, kw_only=True)
class AlexNetConfig(ModelConfig):
    """An AlexNet."""

    towers: Literal[1, 2] = 2
    """2 is the network of 2012: grouped convolutions, local response normalisation and its own initialisation; 1 is the
    network of 2014."""
    dims: tuple[int, ...] = (96, 256, 384, 384, 256)
    """Channels of the five convolutions, summed over towers."""
    hidden: int = 4096
    """Width of the two linear layers before the classifier."""
    drop_rate: float = 0.5
    """Dropout rate: after each of those two layers with two towers, before each with one."""

    pools = ("avg", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.drop_path_rate > 0:
            raise InputError(f"drop_path_rate is {self.drop_path_rate}; an AlexNet has no residual branches to drop")
        if self.towers not in (1, 2):
            raise InputError(f"towers is {self.towers}; give 1 (the network of 2014) or 2 (that of 2012)")
        if len(self.dims) != 5 or min(self.dims) < 1 or any(dim % self.towers for dim in self.dims):
            raise InputError(
                f"dims is {self.dims}; give five numbers above 0, each a multiple of the {self.towers} towers"
            )
        if self.hidden < 1:
            raise InputError(f"hidden is {self.hidden}; give 1 or more")


class AlexNet(Backbone):
    """Five convolutions, max-pools after the first, the second and the fifth, and three linear layers."""

    classifier_name = "classifier.6"
    head_modules = ("classifier",)
    regrows_head = False
    has_blocks = False

    def __init__(self, config: AlexNetConfig) -> None:
        super().__init__(config)
        self._towers = config.towers
        groups = config.towers
        dim1, dim2, dim3, dim4, dim5 = config.dims
        layers: list[nn.Module] = []
        features: list[Feature] = []

        def end_stage(dim: int, reduction: int) -> None:
            features.append(Feature(dim, reduction, f"features.{len(layers) - 1}"))

        def normalise_and_pool() -> None:
            if config.towers == 2:
                # the paper applies alpha = 1e-4 to the sum over 5 channels, PyTorch to their mean
                layers.append(nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0))
            layers.append(nn.MaxPool2d(3, 2))

        layers += [nn.Conv2d(config.in_chans, dim1, 11, 4, padding=0 if groups == 2 else 2), nn.ReLU(inplace=True)]
        end_stage(dim1, 4)
        normalise_and_pool()
        layers += [nn.Conv2d(dim1, dim2, 5, padding=2, groups=groups), nn.ReLU(inplace=True)]
        end_stage(dim2, 8)
        normalise_and_pool()
        layers += [nn.Conv2d(dim2, dim3, 3, padding=1), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(dim3, dim4, 3, padding=1, groups=groups), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(dim4, dim5, 3, padding=1, groups=groups), nn.ReLU(inplace=True)]
        end_stage(dim5, 16)
        layers.append(nn.MaxPool2d(3, 2))
        end_stage(dim5, 32)

        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        hidden1 = [nn.Linear(dim5 * 6 * 6, config.hidden), nn.ReLU(inplace=True)]
        hidden2 = [nn.Linear(config.hidden, config.hidden), nn.ReLU(inplace=True)]
        drops = [nn.Dropout(config.drop_rate), nn.Dropout(config.drop_rate)]
        hidden = [drops[0], *hidden1, drops[1], *hidden2] if groups == 1 else [*hidden1, drops[0], *hidden2, drops[1]]
        self.classifier = nn.Sequential(*hidden)
        self.num_features = dim5
        self._hidden = config.hidden
        self.feature_info = FeatureInfo(features)
        if config.towers == 2:
            self._init_as_in_2012()
        self.classifier.append(new_classifier(config.hidden, config.num_classes))

    def _init_as_in_2012(self) -> None:
        """Section 5: normal weights (std 0.01); biases 1 in conv 2, 4, 5 and the hidden linear layers, else 0."""
        layers = [layer for layer in self.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        for layer, bias in zip(layers, (0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0), strict=True):
            assert layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, bias)

    @property
    def head_hidden_size(self) -> int:
        return self._hidden

    def stage_modules(self, index: int) -> list[str]:
        return [f"features.{layer}" for layer in self._layers(index)]

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run the layers from one max-pool up to the last ReLU before the next; the last stage is the last max-pool."""
        if index == 0:
            x = at_least(x, 64 if self._towers == 2 else 63)  # the last max-pool's window is 3x3
            if self._towers == 2:
                height, width = x.shape[2:]
                x = F.pad(x, (0, (11 - width) % 4, 0, (11 - height) % 4))  # until the stride-4 windows cover it
        for layer in self._layers(index):
            x = self.features[layer](x)
        return x

    def pool(self, x: Tensor) -> Tensor:
        """Pool the map to 6x6 and run the two hidden linear layers."""
        x = self.avgpool(x).flatten(1)
        for layer in range(6):
            x = self.classifier[layer](x)
        return x

    def grid_of(self, size: Size) -> Size:
        def side(pixels: int) -> int:
            positions = -(-(pixels - 11) // 4) if self._towers == 2 else (pixels - 7) // 4
            for _ in range(3):
                positions = (positions - 2) // 2
            return positions + 1

        return side(size[0]), side(size[1])

    def _classify(self, x: Tensor) -> Tensor:
        """Without another dropout: `pool` has applied it."""
        scores: Tensor = self.get_classifier()(x)
        return scores

    def group_key(self, name: str) -> GroupKey:
        """Each convolution; each linear layer."""
        module, layer, *_ = name.split(".")
        return int(module == "classifier"), int(layer)

    def _layers(self, index: int) -> range:
        """Return the indices of a stage's layers in `features`."""
        ends = [int(feature.module.split(".")[1]) + 1 for feature in self.feature_info]
        return range(ends[index - 1] if index else 0, ends[index])


# --- variants -------------------------------------------------------------------------------------------------------


@register_model(AlexNet, Published("ours, for tests", image_size=64))
def alexnet_test() -> AlexNetConfig:
    return AlexNetConfig(dims=(8, 16, 12, 8, 8), hidden=32)


@register_model(AlexNet, Published("ours, for tests", image_size=64))
def alexnet_one_tower_test() -> AlexNetConfig:
    return AlexNetConfig(towers=1, dims=(8, 16, 12, 8, 8), hidden=32)


# parameters and MACs follow from the paper's layer sizes; the paper states "60 million" and 40.7 % top-1 error for one
@register_model(
    AlexNet, Published("Krizhevsky et al. 2012; top-1 over ten crops", params_m=60.965, gmacs=0.7244, top1=59.3)
)
def alexnet() -> AlexNetConfig:
    return AlexNetConfig(towers=2, dims=(96, 256, 384, 384, 256))


@register_model(AlexNet, Published("Krizhevsky 2014; top-1 torchvision", params_m=61.101, gmacs=0.714, top1=56.522))
def alexnet_one_tower() -> AlexNetConfig:
    return AlexNetConfig(towers=1, dims=(64, 192, 384, 256, 256))
