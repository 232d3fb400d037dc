"""LeNet of 1989.

LeCun, Boser, Denker, Henderson, Howard, Hubbard, Jackel, "Backpropagation Applied to Handwritten Zip Code
Recognition", Neural Computation 1(4), 1989.

The first convolutional network on a real task: digits from envelopes, directly from pixels. Units have small receptive
fields, and all units of a map share one kernel, so 64,660 connections have only 9,760 weights to learn; strides of two
shrink the maps while their number grows. Everything is learned by back-propagation, one digit at a time. The paper
reached 5.0 % error on 2,007 test digits after 23 passes over 7,291 training digits.

    image            1 x 16 x 16   in [-1, 1], background -1
    H1, 5x5 / 2     12 x  8 x  8   -> feature 0        1,068 parameters    19,968 connections
    H2, 5x5 / 2     12 x  4 x  4   -> feature 1        2,592               38,592
    H3, all to all  30                                 5,790                5,790
    output          10                                   310                  310

Kernels are shared within a map; biases are not, every unit has its own. Padding is -1. Each map of H2 sees 8 of the 12
maps of H1; the paper does not say which, so `WIRING` is A. Karpathy's choice in his replication
(karpathy/lecun1989-repro): four maps see the first eight, four the last eight, four the first and the last four.
Parameter names are ours (the paper has no code); `H1`, `H2` and `H3` are the paper's layer names. Deviations: the
scores are the pre-activations of the output units, so any loss can be used; the paper's tanh and squared error belong
to the loss (see examples/lenet_usps.py). The paper scales its tanh; ours is plain, as in the replication. Biases depend
on the image size, so `image_size` fixes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models.backbone import HEAD, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.models.entry import Published, register_model
from modernet.models.image_size import of_size

WIRING = 4 * [[0, 1, 2, 3, 4, 5, 6, 7]] + 4 * [[4, 5, 6, 7, 8, 9, 10, 11]] + 4 * [[0, 1, 2, 3, 8, 9, 10, 11]]
"""For each of the 12 maps of H2, the maps of H1 it sees."""


@dataclass(frozen=True, kw_only=True)
class LeNetConfig(ModelConfig):
    """A LeNet of 1989."""

    num_classes: int = 10
    """Outputs of the classifier; with 0 there is no classifier and the network returns the 30 units of H3."""
    in_chans: int = 1
    """Input channels."""
    image_size: int = 16
    """Image size in pixels, a multiple of 4."""

    pools = ("avg", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.drop_path_rate > 0:
            raise InputError(f"drop_path_rate is {self.drop_path_rate}; a LeNet has no residual branches to drop")
        if self.image_size < 4 or self.image_size % 4:
            raise InputError(f"image_size is {self.image_size}; give a multiple of 4")


class Maps(nn.Module):
    """5x5 convolution at stride 2, tanh, a bias per unit. `(b, cin, h, w) -> (b, cout, h / 2, w / 2)`.

    Args:
        wiring: for each output map, the input maps it sees; the same number for each.
        size: side of the output.
    """

    inputs: Tensor

    def __init__(self, wiring: list[list[int]], size: int) -> None:
        super().__init__()
        fan_in = len(wiring[0])
        self.weight = nn.Parameter(torch.empty(len(wiring), fan_in, 5, 5))
        self.bias = nn.Parameter(torch.zeros(len(wiring), size, size))
        self.register_buffer("inputs", torch.tensor(wiring).flatten(), persistent=False)
        _init(self.weight, 25 * fan_in)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (2, 2, 2, 2), value=-1.0)
        x = x[:, self.inputs]  # gather the inputs of each map: b cin h w -> b (cout fan_in) h w
        x = F.conv2d(x, self.weight, stride=2, groups=self.weight.shape[0]) + self.bias
        return x.tanh()


class LeNet(Backbone):
    """Two convolutional layers, a fully connected layer of 30 units, linear classifier."""

    classifier_name = "output"
    head_modules = ("H3", "output")
    regrows_head = False
    has_blocks = False
    has_one_size = True

    def __init__(self, config: LeNetConfig) -> None:
        super().__init__(config)
        size = config.image_size
        self._size, self._in_chans = size, config.in_chans
        self.H1 = Maps(12 * [list(range(config.in_chans))], size // 2)
        self.H2 = Maps(WIRING, size // 4)
        self.H3 = nn.Linear(12 * (size // 4) ** 2, 30)
        _init(self.H3.weight, self.H3.in_features)
        nn.init.zeros_(self.H3.bias)
        self.num_features = 12
        self.feature_info = FeatureInfo([Feature(12, 2, "H1"), Feature(12, 4, "H2")])
        self.output = self.make_classifier(config.num_classes)

    @property
    def head_hidden_size(self) -> int:
        return 30

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        layer = self.get_submodule(f"H{index + 1}")
        if index == 0:
            x = of_size(_with_channels(x, self._in_chans), self._size, 4)
        x = layer(x)
        return x

    def pool(self, x: Tensor) -> Tensor:
        """Return the 30 units of H3."""
        x = self.H3(x.flatten(1))
        return x.tanh()

    def make_classifier(self, num_classes: int) -> nn.Module:
        layer = new_classifier(self.head_hidden_size, num_classes)
        if isinstance(layer, nn.Linear):
            _init(layer.weight, layer.in_features)
        return layer

    def group_key(self, name: str) -> GroupKey:
        """One key per layer."""
        module = name.partition(".")[0]
        return HEAD if module == "output" else (int(module.removeprefix("H")),)


@torch.fx.wrap  # the condition depends on the shape, which is not known when torch.fx traces a network
def _with_channels(images: Tensor, in_chans: int) -> Tensor:
    """Return images with `in_chans` channels as they are; the wiring of H1 would ignore further ones."""
    channels = images.shape[1]
    if channels != in_chans:
        raise InputError(
            f"images have {channels} channels; this network takes {in_chans}: create it with another in_chans"
        )
    return images


def _init(weight: Tensor, fan_in: int) -> None:
    """Uniform within 2.4 / fan-in, as in the paper; the replication divides by the square root of fan-in."""
    nn.init.uniform_(weight, -2.4 / fan_in, 2.4 / fan_in)


# --- variants -------------------------------------------------------------------------------------------------------


@register_model(LeNet, Published("ours, for tests", image_size=16))
def lenet_test() -> LeNetConfig:
    return LeNetConfig()


# 63,660 multiply-accumulates
@register_model(LeNet, Published("LeCun et al. 1989", params_m=0.00976, gmacs=0.00006366, image_size=16))
def lenet1989() -> LeNetConfig:
    return LeNetConfig()
