"""Detect objects in images of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from modernet.data.transforms.fitted_views import fit_view
from modernet.detection import RCNN, Detections, pad_images
from modernet.preparation import Preparation


@torch.inference_mode()
def detect(
    network: RCNN, images_u8: Sequence[Tensor], preparation: Preparation, device: torch.device | None = None
) -> list[Detections]:
    """Return what is found in each image, on the CPU, in pixels of the image.

    An image is scaled to fit into the network's size, then normalised and padded. What is found in it does not depend
    on the others of its batch.

    Args:
        network: in evaluation mode.
        images_u8: uint8 (3, h, w), as stored, on the CPU.
        device: of the network; None is the CPU.
    """
    seen = []
    for image in images_u8:
        h, w = image.shape[1:]
        seen.append(preparation.normalise(fit_view(h, w, preparation.size).show(image, preparation.interpolation)))
    batch, sizes = pad_images(seen)
    # not `network.detect`: weights that are shared among processes are gathered by the call of the whole network
    found = network(batch.to(device or "cpu", memory_format=torch.channels_last), sizes)
    whole = []
    for one, image, size in zip(found, images_u8, sizes, strict=True):
        h, w = image.shape[1:]
        whole.append(_on_cpu(one).resized(size, (h, w)))
    return whole


def _on_cpu(found: Detections) -> Detections:
    masks = None if found.masks is None else found.masks.cpu()
    return replace(
        found, boxes_xyxy=found.boxes_xyxy.cpu(), scores=found.scores.cpu(), labels=found.labels.cpu(), masks=masks
    )
