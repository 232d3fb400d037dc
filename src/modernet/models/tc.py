"""The T-C network.

Rumelhart, Hinton, Williams, "Learning internal representations by error propagation", in Rumelhart, McClelland,
"Parallel Distributed Processing", volume 1, chapter 8, 1986: "The T-C problem".

Where convolution and back-propagation first meet: distinguish a T from a C, five squares each, in every rotation and at
every position of a grid. Both have the same pairwise distances between squares, so no pair of squares distinguishes
them; the hidden units need three. Each hidden unit sees 3x3 squares and all share their weights, so anything learned at
one position holds at all. The learned kernels are interpretable: a bright centre with a dark surround, a bar, a blob.

    grid                    1 x h x w      squares 0 or 1
    3x3 conv, logistic      1 x h x w      -> feature 0: one hidden unit per square, with shared weights
    sum over the grid       1
    linear                  2              T, C

Parameter names are ours. Deviations: two scores with a softmax replace one logistic output unit (the difference of the
two is that unit's input); the hidden units also share their output weight, which reduces them to a sum
(`global_pool="avg"` means this sum: five squares would hardly change a mean over the whole grid); padding is 0;
weights are initialised large and the hidden bias low, so that empty regions barely activate the hidden units. With
small weights, T and C activate the hidden units equally up to second order, and learning is slow to start.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig
from modernet.models.entry import Published, register_model


@dataclass(frozen=True, kw_only=True)
class TCConfig(ModelConfig):
    """A T-C network."""

    num_classes: int = 2
    """Outputs of the classifier, T and C; with 0 the network returns the sums of its hidden units."""
    in_chans: int = 1
    """Input channels."""
    kernels: int = 1
    """Number of kernels in the hidden layer; the book has one."""

    pools = ("avg", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.drop_path_rate > 0:
            raise InputError(f"drop_path_rate is {self.drop_path_rate}; a T-C network has no residual branches to drop")
        if self.kernels < 1:
            raise InputError(f"kernels is {self.kernels}; give 1 or more")


class TC(Backbone):
    """3x3 convolution with logistic units, sum over the grid, linear classifier."""

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
        """Sum each kernel's hidden units over the grid."""
        return x.sum((2, 3))

    def group_key(self, name: str) -> GroupKey:
        return STEM if name.startswith("hidden.") else HEAD


def tc_problem(grid_size: int) -> tuple[Tensor, Tensor]:
    """Return every T and C: four rotations at every position of a grid with an empty border.

    A letter fills five squares of a 3x3 box. The empty border ensures that all 25 hidden units that overlap a letter
    exist, wherever it is.

    Args:
        grid_size: side of the grid in squares, 5 or more.

    Returns:
        Images `(n, 1, grid_size, grid_size)` of 0 and 1, and their labels, 0 for T and 1 for C; n is
        `8 (grid_size - 4)^2`, half of each.

    Raises:
        InputError: the grid is too small for a letter.
    """
    if grid_size < 5:
        raise InputError(f"grid_size is {grid_size}; give 5 or more: a letter of 3x3 squares within an empty border")
    t = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    c = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    positions = range(1, grid_size - 3)
    images, labels = [], []
    for label, letter in enumerate((t, c)):
        for turns in range(4):
            for top in positions:
                for left in positions:
                    image = torch.zeros(1, grid_size, grid_size)
                    image[0, top : top + 3, left : left + 3] = letter.rot90(turns)
                    images.append(image)
                    labels.append(label)
    return torch.stack(images), torch.tensor(labels)


# --- variants -------------------------------------------------------------------------------------------------------


@register_model(TC, Published("ours, for tests", image_size=64))
def tc_test() -> TCConfig:
    return TCConfig(kernels=3)


# 14 parameters (9 weights and a bias, 2 weights and 2 biases); 9 multiply-accumulates per square, and 2
@register_model(TC, Published("Rumelhart, Hinton & Williams 1986", params_m=0.000014, gmacs=0.000000578, image_size=8))
def tc() -> TCConfig:
    return TCConfig()
