"""The stages after the proposals: from boxes to classes, better boxes and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss

from modernet.detection import box_head, mask_head
from modernet.detection.box_coder import BoxCoder, clip
from modernet.detection.box_head import BoxHead
from modernet.detection.config import RCNNConfig
from modernet.detection.detections import Detections, select
from modernet.detection.mask_head import MaskHead, mask_loss, mask_targets, of_class
from modernet.detection.roi_features import roi_features
from modernet.detection.sampling import Objects, Sample, sample_boxes
from modernet.preparation import Size

_GIOU_WEIGHT = 10.0


class RoIHeads(nn.Module):
    """A box head for each stage, and a mask head unless there are no masks."""

    def __init__(self, config: RCNNConfig) -> None:
        super().__init__()
        self.config = config
        self.coders = [BoxCoder(stage.stds) for stage in config.stages]
        self.box_heads = nn.ModuleList(
            BoxHead(config.num_classes, config.box_head, config.width, config.hidden) for _ in config.stages
        )
        self.mask_heads = nn.ModuleList(
            MaskHead(config.num_classes, config.width) for _ in (config.stages if config.masks else ())
        )

    def detect(self, maps: Sequence[Tensor], boxes: list[Tensor], sizes: Sequence[Size]) -> list[Detections]:
        """Return what is found in each image; arguments as of `classify`."""
        found = [select(*each) for each in zip(*self.classify(maps, boxes, sizes), strict=True)]
        if not self.config.masks:
            return found
        masks = self.masks(maps, [each.boxes_xyxy for each in found], torch.cat([each.labels for each in found]))
        split = torch.split(masks, [len(each) for each in found])
        return [replace(each, masks=own) for each, own in zip(found, split, strict=True)]

    def classify(
        self, maps: Sequence[Tensor], boxes: list[Tensor], sizes: Sequence[Size]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the boxes of each class, `(n, k, 4)`, and the logits `(n, k + 1)` of the proposals of each image.

        Every stage starts from the boxes of the stage before, those of the likeliest class; the background does not
        count. The logits of all stages are averaged, and the last stage gives the boxes.

        Args:
            maps: four maps of the pyramid, finest first.
            boxes: the proposals of each image, (n, 4), xyxy.
            sizes: height and width of each image, without padding.
        """
        counts, all_logits = [len(each) for each in boxes], []
        for stage, (head, coder) in enumerate(zip(self.box_heads, self.coders, strict=True)):
            logits, offsets = head(roi_features(maps, boxes, box_head.SIDE))
            all_logits.append(logits)
            each_offsets = torch.split(offsets, counts)
            if stage + 1 < len(self.coders):
                labels = torch.split(logits[:, :-1].argmax(1), counts)
                boxes = [_refined(*each, coder) for each in zip(boxes, each_offsets, labels, sizes, strict=True)]
        refined = [
            clip(coder.decode(proposals[:, None], of_image), size)
            for proposals, of_image, size in zip(boxes, each_offsets, sizes, strict=True)
        ]
        return refined, list(torch.split(torch.stack(all_logits).mean(0), counts))

    def masks(self, maps: Sequence[Tensor], boxes: list[Tensor], labels: Tensor) -> Tensor:
        """Return the mask in each box, `(n, 28, 28)`: the mean of the probabilities of all stages.

        Args:
            maps: as of `classify`.
            boxes: of each image, (n, 4), xyxy.
            labels: int64 (n,), the class in each box of all images.
        """
        features = roi_features(maps, boxes, mask_head.SIDE)
        return torch.stack([of_class(head(features), labels).sigmoid() for head in self.mask_heads]).mean(0)

    def losses(
        self, maps: Sequence[Tensor], boxes: list[Tensor], sizes: Sequence[Size], objects: Sequence[Objects]
    ) -> dict[str, Tensor]:
        """Return `class`, `box` and `mask`, as of `RCNN.losses`; arguments as of `detect`, and the objects."""
        config = self.config
        parts: dict[str, Tensor] = {}
        for index, stage in enumerate(config.stages):
            samples = [
                sample_boxes(
                    each,
                    known,
                    background=config.num_classes,
                    iou=stage.iou,
                    low_quality=config.low_quality,
                    number=config.sampled,
                )
                for each, known in zip(boxes, objects, strict=True)
            ]
            counts = [len(each.boxes) for each in samples]
            features = roi_features(maps, [each.boxes for each in samples], box_head.SIDE)
            logits, offsets = self.box_heads[index](features)
            losses = {
                "class": F.cross_entropy(logits, torch.cat([each.labels for each in samples])),
                "box": self._box_loss(self.coders[index], samples, objects, torch.split(offsets, counts)),
            }
            if config.masks:
                losses["mask"] = self._mask_loss(self.mask_heads[index], maps, samples, objects)
            for name, loss in losses.items():
                parts[name] = parts.get(name, 0.0) + stage.loss_weight * loss
            if index + 1 < len(config.stages):
                likeliest = torch.split(logits[:, :-1].argmax(1), counts)
                of_images = torch.split(offsets.detach(), counts)
                boxes = [
                    _refined_sample(*each, self.coders[index])
                    for each in zip(samples, of_images, likeliest, sizes, strict=True)
                ]
        return parts

    def _box_loss(
        self, coder: BoxCoder, samples: Sequence[Sample], objects: Sequence[Objects], offsets: Sequence[Tensor]
    ) -> Tensor:
        total = torch.stack([each.sum() * 0 for each in offsets]).sum()
        for sample, known, of_image in zip(samples, objects, offsets, strict=True):
            positive = len(sample.objects)
            boxes, labels, target = sample.boxes[:positive], sample.labels[:positive], known.boxes[sample.objects]
            predicted = of_image[torch.arange(positive, device=labels.device), labels]
            if self.config.box_loss == "l1":
                total = total + (predicted - coder.encode(boxes, target)).abs().sum()
            else:
                giou = generalized_box_iou_loss(coder.decode(boxes, predicted), target, reduction="sum")
                total = total + _GIOU_WEIGHT * giou
        return total / sum(len(sample.boxes) for sample in samples)

    def _mask_loss(
        self, head: nn.Module, maps: Sequence[Tensor], samples: Sequence[Sample], objects: Sequence[Objects]
    ) -> Tensor:
        positive, labels, targets = [], [], []
        for sample, known in zip(samples, objects, strict=True):
            assert known.masks is not None
            masked = known.masks.known.to(sample.objects.device)[sample.objects]
            boxes, own_labels = (column[: len(masked)][masked] for column in (sample.boxes, sample.labels))
            positive.append(boxes)
            labels.append(own_labels)
            targets.append(mask_targets(known.masks, sample.objects[masked], boxes))
        logits = of_class(head(roi_features(maps, positive, mask_head.SIDE)), torch.cat(labels))
        return mask_loss(logits, torch.cat(targets))


def _refined(boxes: Tensor, offsets: Tensor, labels: Tensor, size: Size, coder: BoxCoder) -> Tensor:
    """Return the boxes of one class each, within the image: `(n, 4)` from `(n, 4)` and offsets `(n, k, 4)`."""
    chosen = offsets[torch.arange(len(labels), device=labels.device), labels]
    return clip(coder.decode(boxes, chosen), size)


def _refined_sample(sample: Sample, offsets: Tensor, likeliest: Tensor, size: Size, coder: BoxCoder) -> Tensor:
    """Return what the next stage starts from in training: without the objects' own boxes, which join it again."""
    background = offsets.shape[1]
    labels = torch.where(sample.labels == background, likeliest, sample.labels)
    return _refined(sample.boxes, offsets, labels, size, coder)[~sample.given]
