"""The design space between ResNet and ConvNeXt: every decision of the road is a field of `Design`.

Liu et al., "A ConvNet for the 2020s", 2022, arXiv 2201.03545, section 2. Does not import torch, so that the command
line starts quickly; `network.py` builds the networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

from modernet.errors import InputError

Stem = Literal["resnet", "patchify"]
BlockForm = Literal["bottleneck", "inverted"]
Position = Literal["middle", "first"]
Activation = Literal["relu", "gelu"]
Norm = Literal["batch", "layer"]
Amount = Literal["all", "one"]
Downsampling = Literal["in_block", "separate"]


@dataclass(frozen=True, kw_only=True)
class Design:
    """A convolutional network as a set of decisions; the defaults are ResNet-50.

    A block is a shortcut around three convolutions, one k x k and two 1x1. A stage's width `w` is that of its 3x3
    convolutions in a ResNet; the block's input and output channels follow from `block`.

    Raises:
        InputError: a field is out of range, or the fields are incompatible.
    """

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks per stage."""
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Width `w` per stage. The stem has the first stage's width."""
    stem: Stem = "resnet"
    """`resnet`: overlapping 7x7 convolution and max-pool; `patchify`: projection of non-overlapping patches."""
    stem_stride: int = 4
    """Total stride of the stem.

    A ResNet stem supports 4 (7x7 of stride 2, 3x3 max-pool of stride 2), 2 (without the pool) or 1 (a 3x3 of stride 1
    instead). A patchify stem supports any stride, which is its patch size.
    """
    block: BlockForm = "bottleneck"
    """`bottleneck`: narrow inside, `w` to `4w`; `inverted`: wide inside, `4w` to `w`."""
    spatial_conv: Position = "middle"
    """Position of the k x k convolution: between the two 1x1, or before both, on the block's input channels."""
    groups: int | Literal["depthwise"] = 1
    """Groups of the k x k convolution; `depthwise` is one per channel."""
    kernel_size: int = 3
    """k of the k x k convolution, odd."""
    activation: Activation = "relu"
    """Activation function of the whole network."""
    activations: Amount = "all"
    """`all`: after a block's first two convolutions and its sum, and in the stem; `one`: before a block's last 1x1."""
    norm: Norm = "batch"
    """Normalisation of the whole network."""
    norms: Amount = "all"
    """Norms in a block: after each convolution, or only after the k x k. Stem and shortcuts keep theirs either way."""
    downsampling: Downsampling = "in_block"
    """How a stage halves the resolution.

    `in_block`: stride 2 in the first block's k x k convolution and in the 1x1 of its shortcut; `separate`: a norm and a
    2x2 convolution of stride 2 before the first block.
    """
    layer_scale_init: float | None = None
    """Initial value of layer scale, the learned per-channel factor of a residual branch; None disables it."""
    head_norm: bool = False
    """Normalise between average pool and classifier."""

    def __post_init__(self) -> None:
        self._check_choices()
        if len(self.depths) != len(self.widths) or not self.depths:
            raise InputError(f"depths is {self.depths} and widths is {self.widths}; give one number per stage in each")
        for name in ("depths", "widths"):
            if min(getattr(self, name)) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more for every stage")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise InputError(f"kernel_size is {self.kernel_size}; give an odd number")
        if self.stem == "resnet" and self.stem_stride not in (1, 2, 4):
            raise InputError(
                f"stem_stride is {self.stem_stride}; give 1, 2 or 4 for a resnet stem (patchify takes any)"
            )
        if self.stem_stride < 1:
            raise InputError(f"stem_stride is {self.stem_stride}; give 1 or more")
        if self.layer_scale_init is not None and not self.layer_scale_init > 0:
            raise InputError(
                f"layer_scale_init is {self.layer_scale_init}; give more than 0, or None for no layer scale"
            )
        self._check_groups()

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Channels between the two 1x1 convolutions, per stage."""
        return tuple(4 * width if self.block == "inverted" else width for width in self.widths)

    @property
    def out_widths(self) -> tuple[int, ...]:
        """Output channels per stage."""
        return tuple(width if self.block == "inverted" else 4 * width for width in self.widths)

    def _check_choices(self) -> None:
        """Check fields with a fixed set of values; `network.py` would treat an unknown value as the alternative."""
        for name, hint in get_type_hints(type(self)).items():
            choices, value = get_args(hint), getattr(self, name)
            if get_origin(hint) is Literal and value not in choices:
                raise InputError(f"{name} is {value!r}; give {' or '.join(map(repr, choices))}")

    def _check_groups(self) -> None:
        if self.groups == "depthwise":
            return
        if not isinstance(self.groups, int) or self.groups < 1:
            raise InputError(f"groups is {self.groups!r}; give 1 or more, or 'depthwise'")
        inputs = (self.widths[0], *self.out_widths)
        for channels in self.hidden_widths if self.spatial_conv == "middle" else inputs:
            if channels % self.groups:
                raise InputError(
                    f"groups is {self.groups}, which does not divide the {channels} channels of a k x k convolution; "
                    "give a divisor, or 'depthwise'"
                )
