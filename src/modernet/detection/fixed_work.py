"""A detector whose work does not depend on what is in an image."""

from __future__ import annotations

from torch import Tensor, nn

from modernet.detection import box_head, mask_head
from modernet.detection.network import RCNN


class FixedWork(nn.Module):
    """The layers of a detector, on a fixed number of boxes with random features: what papers count for an image.

    It runs on the meta device, so `count(FixedWork(network), (800, 1280))` takes no memory.

    Args:
        boxes: that every box head sees, per image.
        masks: that every mask head sees, per image.
    """

    def __init__(self, network: RCNN, boxes: int = 1000, masks: int = 100) -> None:
        super().__init__()
        self.network = network
        self.boxes, self.masks = boxes, masks

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of all heads for images `(b, 3, h, w)`."""
        maps = self.network.padded_levels(images)
        outputs = [y for level in self.network.rpn_head(maps) for y in (level.logits, level.offsets)]
        n, width = len(images), maps[0].shape[1]
        for head in self.network.roi_heads.box_heads:
            outputs += head(maps[0].new_empty(n * self.boxes, width, box_head.SIDE, box_head.SIDE).normal_())
        for head in self.network.roi_heads.mask_heads:
            outputs.append(head(maps[0].new_empty(n * self.masks, width, mask_head.SIDE, mask_head.SIDE).normal_()))
        return outputs
