"""The design space between ResNet and ConvNeXt: every decision of the road is a field of `Design`.

Liu et al., "A ConvNet for the 2020s", 2022, arXiv 2201.03545, section 2. Imports no torch, so that the command line can
show designs at once; `network.py` builds them.
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
HowMany = Literal["all", "one"]
Downsampling = Literal["in_block", "separate"]


@dataclass(frozen=True, kw_only=True)
class Design:
    """A convolutional network as a list of decisions; the defaults are ResNet-50.

    A block is a shortcut around three convolutions, one k x k and two 1x1. A stage's width number `w` is that
    of its 3x3 convolutions in a ResNet; what enters and leaves a block follows from `block`.

    Raises:
        InputError: the fields contradict each other, so that no network could be built.
    """

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each stage."""
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Width number of each stage. The stem has the first one's channels."""
    stem: Stem = "resnet"
    """`resnet`: overlapping 7x7 convolution and max-pool; `patchify`: patches side by side, each one projected."""
    stem_stride: int = 4
    """Pixels of the image for one position after the stem, in each direction.

    A ResNet stem has 4 (7x7 of stride 2, 3x3 max-pool of stride 2), 2 (without the pool) or 1 (a 3x3 of stride 1
    instead); a patchify stem any: it is the size of its patches.
    """
    block: BlockForm = "bottleneck"
    """`bottleneck`: narrow inside, `w` to `4w`; `inverted`: wide inside, `4w` to `w`."""
    spatial_conv: Position = "middle"
    """Place of the k x k convolution: between the two 1x1, or before both, on the channels that enter the block."""
    groups: int | Literal["depthwise"] = 1
    """Groups of the k x k convolution; `depthwise` is one a channel."""
    kernel_size: int = 3
    """k of the k x k convolution; odd."""
    activation: Activation = "relu"
    activations: HowMany = "all"
    """`all`: after a block's first two convolutions and its sum, and in the stem; `one`: before a block's last 1x1."""
    norm: Norm = "batch"
    """Of every normalisation in the network."""
    norms: HowMany = "all"
    """In a block: after each convolution, or after the k x k alone. Stem and shortcuts have theirs in both cases."""
    downsampling: Downsampling = "in_block"
    """Where a stage halves the resolution.

    `in_block`: the k x k convolution of its first block has stride 2, and so has the 1x1 on that block's shortcut;
    `separate`: a norm and a 2x2 convolution of stride 2 before its first block.
    """
    layer_scale_init: float | None = None
    """Where the learned factor of every channel of a block's residual branch starts; None: there is no such factor."""
    head_norm: bool = False
    """A normalisation between average pool and classifier."""

    def __post_init__(self) -> None:
        self._check_words()
        if len(self.depths) != len(self.widths) or not self.depths:
            raise InputError(f"depths is {self.depths} and widths is {self.widths}; give each a number for every stage")
        for name in ("depths", "widths"):
            if min(getattr(self, name)) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; every stage needs 1 or more")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise InputError(f"kernel_size is {self.kernel_size}; give an odd number, so that a centre exists")
        if self.stem == "resnet" and self.stem_stride not in (1, 2, 4):
            raise InputError(f"stem_stride is {self.stem_stride}; a resnet stem has 1, 2 or 4 (patchify: any)")
        if self.stem_stride < 1:
            raise InputError(f"stem_stride is {self.stem_stride}; give 1 or more")
        if self.layer_scale_init is not None and not self.layer_scale_init > 0:
            raise InputError(f"layer_scale_init is {self.layer_scale_init}; give more than 0, or None for no factor")
        self._check_groups()

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Channels between the two 1x1 convolutions of each stage's blocks."""
        return tuple(4 * width if self.block == "inverted" else width for width in self.widths)

    @property
    def out_widths(self) -> tuple[int, ...]:
        """Channels that leave each stage's blocks."""
        return tuple(width if self.block == "inverted" else 4 * width for width in self.widths)

    def _check_words(self) -> None:
        """A word that is none of a field's words would otherwise be read as the other one."""
        for name, hint in get_type_hints(type(self)).items():
            words, given = get_args(hint), getattr(self, name)
            if get_origin(hint) is Literal and given not in words:
                raise InputError(f"{name} is {given!r}; give {' or '.join(map(repr, words))}")

    def _check_groups(self) -> None:
        if self.groups == "depthwise":
            return
        if not isinstance(self.groups, int) or self.groups < 1:
            raise InputError(f"groups is {self.groups!r}; give 1 or more, or 'depthwise'")
        entering = (self.widths[0], *self.out_widths)
        for count in self.hidden_widths if self.spatial_conv == "middle" else entering:
            if count % self.groups:
                raise InputError(
                    f"groups is {self.groups}, which does not divide the {count} channels of a k x k convolution; "
                    "give a divisor, or 'depthwise'"
                )
