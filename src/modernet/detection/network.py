"""Mask R-CNN and Cascade Mask R-CNN on any backbone.

He, Gkioxari, Dollár, Girshick, "Mask R-CNN", 2017, arXiv 1703.06870.
Cai, Vasconcelos, "Cascade R-CNN: Delving into High Quality Object Detection", 2017, arXiv 1712.00726.

A region proposal network finds boxes that may contain something. For each, features are cut from the feature pyramid,
and heads give its class, a better box and a mask. A cascade improves the boxes in three such stages, each trained for
better ones. So a Mask R-CNN is a cascade of one stage; without the mask head it is a Faster R-CNN.

    images -> backbone, at strides 4, 8, 16, 32 -> pyramid of 256 channels, strides 4 to 64
      each level: 3x3 convolution -> objectness and offsets of 3 anchors       -> the 1,000 best boxes
      each of them: 7x7 features -> hidden layers -> 80 classes or background, -> the 100 best boxes
                    and offsets for each class (a cascade: three times)
      each of them: 14x14 features -> four 3x3 convolutions -> upsampled       -> a 28x28 mask for each class

The conventions are those of the detectors that ConvNeXt and Swin were published with (OpenMMLab's), so that their
weights give their results: the background is the last class, anchors are not rounded, RoIAlign is aligned.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modernet.data.targets import BoxBatch
from modernet.detection.config import RCNNConfig
from modernet.detection.detections import Detections
from modernet.detection.neck import Neck
from modernet.detection.padding import padded_size, to_size
from modernet.detection.region_proposals import Level, RPNHead, proposal_losses, propose
from modernet.detection.roi_heads import RoIHeads
from modernet.detection.sampling import Objects
from modernet.errors import InputError
from modernet.models import Backbone, DenseNetwork
from modernet.preparation import Size

CANDIDATES, _CANDIDATES_IN_TRAINING = 1000, 2000  # per level, before non-maximum suppression
PROPOSALS = 1000


class RCNN(DenseNetwork):
    """A detector: images to the objects in them, or to losses.

    Args:
        backbone: gives feature maps at strides 4, 8, 16 and 32; it loses its head.
        config: `mask_rcnn()`, `cascade_mask_rcnn()`, or one of your own.

    Raises:
        InputError: the backbone lacks one of the strides.

    >>> import modernet
    >>> from modernet.detection import mask_rcnn, pad_images
    >>> detector = RCNN(modernet.create_model("convnext_test"), mask_rcnn(num_classes=10, width=16, hidden=32)).eval()
    >>> batch, sizes = pad_images([torch.rand(3, 50, 60), torch.rand(3, 70, 40)])
    >>> batch.shape, sizes
    (torch.Size([2, 3, 96, 64]), [(50, 60), (70, 40)])
    >>> [type(found).__name__ for found in detector(batch, sizes)]
    ['Detections', 'Detections']
    """

    def __init__(self, backbone: Backbone, config: RCNNConfig) -> None:
        super().__init__(backbone)
        self.config = config
        self.neck = Neck(self.pyramid.feature_info, config.width)
        self.rpn_head = RPNHead(config.width)
        self.roi_heads = RoIHeads(config)

    def forward(
        self, images: Tensor, sizes: Sequence[Size] | None = None, targets: BoxBatch | None = None
    ) -> list[Detections] | dict[str, Tensor]:
        """Return `losses` if there are targets, otherwise what is found (`detect`).

        Args:
            images: normalized, (b, 3, h, w); zero outside of their sizes, as `pad_images` makes them.
            sizes: height and width of each image; None if all fill the batch.
            targets: the objects of each image. Crowds are background, as in the published detectors.
        """
        sizes = [(images.shape[2], images.shape[3])] * len(images) if sizes is None else sizes
        return self.detect(images, sizes) if targets is None else self.losses(images, sizes, targets)

    def classifier_names(self) -> tuple[str, ...]:
        boxes = [
            f"roi_heads.box_heads.{i}.{layer}" for i in range(len(self.config.stages)) for layer in ("fc_cls", "fc_reg")
        ]
        masks = [f"roi_heads.mask_heads.{i}.conv_logits" for i in range(len(self.roi_heads.mask_heads))]
        return (*boxes, *masks)

    def levels(self, images: Tensor) -> list[Tensor]:
        """Return the five levels of the pyramid for images whose sides are multiples of 32, `(b, 3, h, w)`."""
        y: list[Tensor] = self.neck(self.pyramid(images))
        return y

    def padded_levels(self, images: Tensor) -> list[Tensor]:
        """Return the levels for images of any one size, which are padded."""
        return self.levels(to_size(images, padded_size((images.shape[2], images.shape[3]))))

    @torch.no_grad()
    def detect(self, images: Tensor, sizes: Sequence[Size]) -> list[Detections]:
        """Return what is found in each image; arguments as of `forward`.

        Images that need different padding are computed apart, so that what is found in an image does not depend on the
        others of its batch. Batches of one size, or of similar ones, are the fastest.
        """
        found: dict[int, Detections] = {}
        padded = [padded_size(size) for size in sizes]
        for size in dict.fromkeys(padded):
            members = [index for index, other in enumerate(padded) if other == size]
            batch = images if len(members) == len(images) else images[members]
            own_sizes = [sizes[index] for index in members]
            maps = self.levels(to_size(batch, size))
            found |= zip(members, find(maps[:4], self.rpn_head(maps), self.roi_heads, own_sizes), strict=True)
        return [found[index] for index in range(len(images))]

    def losses(self, images: Tensor, sizes: Sequence[Size], targets: BoxBatch) -> dict[str, Tensor]:
        """Return the parts of the loss, whose sum is minimized; arguments as of `forward`.

        Each is a mean over these images, as published:

        | part | mean over |
        |---|---|
        | `rpn_class`, `rpn_box` | 256 anchors of each image (`proposal_losses`) |
        | `class` | `config.sampled` boxes of each image: cross-entropy, the background included |
        | `box` | the same, though only positive ones have a target: L1 summed over four offsets, or 10 GIoU losses |
        | `mask` | 28 x 28 positions of each positive box of an object with a mask: binary cross-entropy |

        The last three are sums over the stages by their weights. Where there is no object, `rpn_box`, `box` and `mask`
        are 0 with gradients of 0. Of a batch in several parts, weigh the losses of each by its number of images.

        Raises:
            InputError: there are mask heads, but the targets have no masks.
        """
        config = self.config
        if config.masks and targets.masks is None:
            raise InputError("a detector with mask heads learns from masks, and the targets have none: use masks=False")
        objects = _by_image(targets, len(images))
        maps = self.padded_levels(images)
        predicted = self.rpn_head(maps)
        boxes = [each.boxes for each in objects]
        rpn_class, rpn_box = proposal_losses(
            predicted, sizes, boxes, inside=config.anchors_inside, beta=config.anchor_beta
        )
        proposals = propose(predicted, sizes, candidates=_CANDIDATES_IN_TRAINING, kept=config.training_proposals)
        return {
            "rpn_class": rpn_class,
            "rpn_box": rpn_box,
            **self.roi_heads.losses(maps[:4], proposals, sizes, objects),
        }


def find(
    maps: Sequence[Tensor], predicted: Sequence[Level], heads: RoIHeads, sizes: Sequence[Size]
) -> list[Detections]:
    """Return what is found in each image of a batch, from the four finest levels and what is predicted at all five."""
    return heads.detect(maps, propose(predicted, sizes, candidates=CANDIDATES, kept=PROPOSALS), sizes)


def _by_image(targets: BoxBatch, images: int) -> list[Objects]:
    """Return the objects of each image, without crowds."""
    objects = []
    for index in range(images):
        own = targets.take((targets.image == index) & ~targets.crowd)
        objects.append(Objects(own.boxes_xyxy, own.labels, own.masks))
    return objects
