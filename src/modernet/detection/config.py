"""The settings of a detector, and those of the papers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modernet.detection.box_head import BoxHeadKind
from modernet.errors import InputError


@dataclass(frozen=True)
class Stage:
    """One stage of box and mask heads."""

    iou: float
    """IoU with an object from which a box is positive in training."""
    stds: tuple[float, float, float, float]
    """Standard deviations of the offsets that the box head predicts."""
    loss_weight: float = 1.0
    """Of its losses in the total."""


@dataclass(frozen=True, kw_only=True)
class RCNNConfig:
    """A detector with a stage, or a cascade of several."""

    num_classes: int = 80
    """Of objects; the background is not counted."""
    masks: bool = True
    """Whether there are mask heads."""
    stages: tuple[Stage, ...]
    """One for Mask R-CNN."""
    box_head: BoxHeadKind
    """Hidden layers of the box heads."""
    box_loss: Literal["l1", "giou"]
    """Of the box heads: on offsets, or on the boxes."""
    low_quality: bool
    """Whether an object takes its best proposals from others in training (`sample_boxes`)."""
    anchors_inside: bool
    """Whether the proposal network learns only from anchors wholly inside of the image."""
    anchor_beta: float
    """Of the smooth L1 loss of the proposal network; 0 for L1."""
    training_proposals: int
    """Most proposals of an image in training."""
    sampled: int = 512
    """Boxes of an image that the heads of a stage learn from, at most a quarter of them positive."""
    width: int = 256
    """Channels of the pyramid and of convolutions."""
    hidden: int = 1024
    """Channels of the hidden linear layers."""

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise InputError(f"num_classes is {self.num_classes}; a detector needs 1 or more")


def mask_rcnn(num_classes: int = 80, *, masks: bool = True, width: int = 256, hidden: int = 1024) -> RCNNConfig:
    """Return the config of a Mask R-CNN; without masks, of a Faster R-CNN."""
    return RCNNConfig(
        num_classes=num_classes,
        masks=masks,
        stages=(Stage(0.5, (0.1, 0.1, 0.2, 0.2)),),
        box_head="2fc",
        box_loss="l1",
        low_quality=True,
        anchors_inside=False,
        anchor_beta=0.0,
        training_proposals=1000,
        width=width,
        hidden=hidden,
    )


def cascade_mask_rcnn(num_classes: int = 80, *, masks: bool = True, width: int = 256, hidden: int = 1024) -> RCNNConfig:
    """Return the config of a Cascade Mask R-CNN as in the papers of Swin and ConvNeXt."""
    return RCNNConfig(
        num_classes=num_classes,
        masks=masks,
        stages=(
            Stage(0.5, (0.1, 0.1, 0.2, 0.2), 1.0),
            Stage(0.6, (0.05, 0.05, 0.1, 0.1), 0.5),
            Stage(0.7, (0.033, 0.033, 0.067, 0.067), 0.25),
        ),
        box_head="4conv1fc",
        box_loss="giou",
        low_quality=False,
        anchors_inside=True,
        anchor_beta=1 / 9,
        training_proposals=2000,
        width=width,
        hidden=hidden,
    )
