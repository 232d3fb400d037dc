"""The T-C network.

Rumelhart, Hinton, Williams, "Learning internal representations by error propagation", in Rumelhart, McClelland,
"Parallel Distributed Processing", volume 1, chapter 8, 1986: "The T-C problem".

Where convolution meets back-propagation for the first time: a T and a C of five squares each are to be told apart in
every rotation and at every place of a grid. The distances between their squares are the same, so that no pair of
squares tells them apart: the hidden units need three. Each of these sees 3x3 squares, all have the same weights, and
what one learns anywhere holds everywhere. Kernels come out that one can read: a bright centre in a dark surround, a
bar, a blob.

    grid                    1 x h x w      squares 0 or 1
    3x3 conv, logistic      1 x h x w      -> feature 0: one hidden unit for each square, all with the same weights
    sum over the grid       1
    linear                  2              T, C

Parameter names are ours. Deviations: two scores with a softmax in place of one output unit with a logistic function
(the difference of the two is that unit's sum); all hidden units have the same weight to the output too, which makes
them a sum (`global_pool="avg"` is this sum: of a mean over the whole grid, five squares would change almost nothing);
squares outside the grid are 0; the weights start large and the hidden bias low, so that an empty place excites its
units little: at small weights T and C excite the hidden units equally, up to the second order, and learning takes
long to begin.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, ModelConfig, Place
from modernet.models.entry import Published, register_model


@dataclass(frozen=True, kw_only=True)
class TCConfig(ModelConfig):
    """A T-C network."""

    num_classes: int = 2
    """Outputs of the classifier: T and C; 0 is no classifier: the network returns the sums of its hidden units."""
    in_chans: int = 1
    """Channels of the image."""
    kernels: int = 1
    """Different sets of weights among the hidden units; the book has one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.drop_path_rate > 0:
            raise InputError(f"drop_path_rate is {self.drop_path_rate}; a T-C network has no residual branches to drop")
        if self.kernels < 1:
            raise InputError(f"kernels is {self.kernels}; give 1 or more")


class TC(Backbone):
    """3x3 logistic units that share their weights, their sum over the grid, linear classifier."""

    classifier_name = "output"
    head_modules = ("output",)
    has_blocks = False

    def __init__(self, config: TCConfig) -> None:
        super().__init__(config)
        self.hidden = nn.Conv2d(config.in_chans, config.kernels, 3, padding=1)
        self.logistic = nn.Sigmoid()
        nn.init.uniform_(self.hidden.weight, -4.0, 4.0)
        assert self.hidden.bias is not None
        nn.init.constant_(self.hidden.bias, -4.0)
        self.num_features = config.kernels
        self.feature_info = FeatureInfo([Feature(config.kernels, 1, "logistic")])
        self.output = self.make_classifier(config.num_classes)

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        x = self.logistic(self.hidden(x))
        return x

    def pool(self, x: Tensor) -> Tensor:
        """The sum of each kernel's hidden units."""
        return x.sum((2, 3))

    def layer_place(self, name: str) -> Place:
        return STEM if name.startswith("hidden.") else HEAD


def tc_problem(grid_size: int) -> tuple[Tensor, Tensor]:
    """Every T and every C: four rotations at every place of a grid whose outermost squares stay empty.

    A letter has five squares of a 3x3 box. The empty border lets every letter be seen by all 25 hidden units that reach
    it, wherever it is.

    Args:
        grid_size: side of the grid in squares, 5 or more.

    Returns:
        Images `(n, 1, grid_size, grid_size)` of 0 and 1, and their labels, 0 for T and 1 for C; n is
        `8 (grid_size - 4)^2`, half of each.

    Raises:
        InputError: the grid has no place for a letter.
    """
    if grid_size < 5:
        raise InputError(f"grid_size is {grid_size}; give 5 or more: a letter of 3x3 squares within an empty border")
    t = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    c = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    places = range(1, grid_size - 3)
    images, labels = [], []
    for label, letter in enumerate((t, c)):
        for turns in range(4):
            for top in places:
                for left in places:
                    image = torch.zeros(1, grid_size, grid_size)
                    image[0, top : top + 3, left : left + 3] = letter.rot90(turns)
                    images.append(image)
                    labels.append(label)
    return torch.stack(images), torch.tensor(labels)


# --- variants -------------------------------------------------------------------------------------------------------


@register_model(TC, Published("ours, for tests", image_size=64))
def tc_test() -> TCConfig:
    return TCConfig(kernels=3)


# 14 parameters (9 weights and a bias, 2 weights and 2 biases); 9 multiply-accumulates a square and 2 more
@register_model(TC, Published("Rumelhart, Hinton & Williams 1986", params_m=0.000014, gmacs=0.000000578, image_size=8))
def tc() -> TCConfig:
    return TCConfig()
