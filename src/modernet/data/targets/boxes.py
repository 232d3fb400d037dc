"""Boxes with a class each, and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from modernet.data.images.views import Box, View
from modernet.data.targets.contract import Floats, Ints
from modernet.data.targets.maps import MaskMaps, digest_of_maps, read_map
from modernet.data.targets.masks import InstanceMasks, tight_window
from modernet.data.transforms.moves import Moves
from modernet.errors import InputError


class BoxBatch(NamedTuple):
    """The n boxes of all images of a batch, one after the other.

    Attributes:
        boxes_xyxy: float32 (n, 4), in pixels of the images as they are shown; none is empty.
        labels: int64 (n,)
        crowd: bool (n,), as in `BoxTargets`.
        image: int64 (n,), index of the image in the batch, ascending. An image without objects has none.
        masks: None where no object of the data has one.
        sizes: int64 (b, 2), height and width of each image; right and below of it there is padding.
    """

    boxes_xyxy: Tensor
    labels: Tensor
    crowd: Tensor
    image: Tensor
    masks: InstanceMasks | None
    sizes: Tensor

    def take(self, chosen: Tensor) -> BoxBatch:
        """Return some of the boxes: bool (n,) or int64."""
        boxes, labels, crowd, image = (column[chosen] for column in self[:4])
        return BoxBatch(
            boxes, labels, crowd, image, None if self.masks is None else self.masks.take(chosen), self.sizes
        )


@dataclass(frozen=True, eq=False)
class BoxTargets:
    """Any number of boxes for each image: m in all, those of image i from `offsets[i]` to `offsets[i + 1]`.

    Attributes:
        boxes_xyxy: float32 (m, 4), in pixels of the image.
        labels: int64 (m,)
        crowd: bool (m,), boxes around a group that nobody counted, or objects that are marked as difficult: no
            error where they are found. What a detector proposes there is learned as background.
        offsets: int64 (n + 1,)
        masks: bool (k, h, w), maps that are read when they are needed, or windows once `show` has mapped them; None
            where only boxes are known.
        mask_of: int64 (m,), which of `masks` is that of each box; -1 where only the box is known.
        areas: float64 (m,), in pixels of the image: what an object is small or large by.
        image_ids: int64 (n,), the number of each image in its source; unique.
        category_ids: the number of each class in its source; a label is an index into it.
        sizes: int64 (n, 2), height and width of each image, once `show` has mapped them; None before.
    """

    boxes_xyxy: Tensor
    labels: Tensor
    crowd: Tensor
    offsets: Ints
    masks: Tensor | MaskMaps | InstanceMasks | None
    mask_of: Ints
    areas: Floats
    image_ids: Ints
    category_ids: tuple[int, ...]
    sizes: Ints | None = None
    spatial: ClassVar[bool] = True
    fitted: ClassVar[bool] = True

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, positions: Ints) -> BoxTargets:
        counts = np.diff(self.offsets)[positions]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        chosen = np.repeat(self.offsets[positions] - offsets[:-1], counts) + np.arange(offsets[-1])
        boxes, labels, crowd = (
            column[torch.from_numpy(chosen)] for column in (self.boxes_xyxy, self.labels, self.crowd)
        )
        return replace(
            self,
            boxes_xyxy=boxes,
            labels=labels,
            crowd=crowd,
            offsets=offsets,
            mask_of=self.mask_of[chosen],
            areas=self.areas[chosen],
            image_ids=self.image_ids[positions],
            sizes=None if self.sizes is None else self.sizes[positions],
        )

    def strata(self) -> None:
        return None

    def digest(self) -> bytes:
        content = blake2b(self.offsets.tobytes(), digest_size=16)
        for column in (self.boxes_xyxy, self.labels, self.crowd):
            content.update(column.numpy().tobytes())
        if self.masks is not None:
            assert not isinstance(self.masks, InstanceMasks), "a digest is of targets as they are stored"
            known = self.mask_of >= 0
            content.update(known.tobytes())
            content.update(digest_of_maps(self.masks, self.mask_of[known]))
        return content.digest()

    def check(self, classes: Sequence[str], where: Path | str) -> None:
        if not classes:
            raise InputError(f"{where} has no class of objects; a detector needs at least one")
        if not (~self.crowd).any():
            raise InputError(f"{where} has no object in train to learn from; modernet data check lists what is wrong")

    def show(self, views: Sequence[View]) -> BoxTargets:
        """As `Targets.show`. Boxes of which less than a pixel is left along either side are dropped."""
        boxes: list[Tensor] = []
        masks: list[tuple[Box, Tensor] | None] = []
        bounds = zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
        for view, (first, last) in zip(views, bounds, strict=True):
            boxes.append(view.map_boxes(self.boxes_xyxy[first:last]))
            if self.masks is not None:
                for number, kept in enumerate(_at_least_a_pixel(boxes[-1]).tolist(), first):
                    known = self._window(number) if kept else None
                    masks.append(None if known is None else view.map_mask(*known))
        shown = torch.cat(boxes) if boxes else self.boxes_xyxy
        kept = _at_least_a_pixel(shown)
        counts = np.diff(np.concatenate(([0], np.cumsum(kept.numpy())))[self.offsets])
        return replace(
            self,
            boxes_xyxy=shown[kept],
            labels=self.labels[kept],
            crowd=self.crowd[kept],
            offsets=np.concatenate(([0], np.cumsum(counts))),
            masks=None if self.masks is None else InstanceMasks.join(masks).take(kept),
            mask_of=np.arange(int(counts.sum())),
            areas=self.areas[kept.numpy()],
            sizes=np.array([view.size for view in views], dtype=np.int64).reshape(-1, 2),
        )

    def mask(self, number: int, image: int) -> Tensor | None:
        """Return the mask of a box, bool (h, w); None where only the box is known.

        Args:
            number: of the box; the first of image i has number `offsets[i]`.
            image: index of its image.

        Raises:
            UnreadableImage: it cannot be decoded.
        """
        index = int(self.mask_of[number])
        if self.masks is None or index < 0:
            return None
        if not isinstance(self.masks, InstanceMasks):
            return read_map(self.masks, index)
        own = self.masks.take(torch.tensor([index]))
        assert self.sizes is not None
        h, w = self.sizes[image].tolist()
        return own.whole((h, w))[0] if own.known else None

    def _window(self, number: int) -> tuple[Box, Tensor] | None:
        """Return the window of a box's mask, and the mask within it; None where only the box is known."""
        index = int(self.mask_of[number])
        if self.masks is None or index < 0:
            return None
        if isinstance(self.masks, Tensor):
            return tight_window(self.masks[index])
        if isinstance(self.masks, InstanceMasks):
            own = self.masks.take(torch.tensor([index]))
            top, left, *_ = own.windows[0].tolist()
            return tight_window(own.split()[0], top, left) if own.known else None  # without the margin
        return self.masks.window(index)

    def to(self, device: torch.device) -> BoxTargets:
        return self  # boxes that leave their image are dropped, which is done without waiting for a device

    def collate(self) -> BoxBatch:
        assert self.sizes is not None, "targets are read by `show` before they are collated"
        assert self.masks is None or isinstance(self.masks, InstanceMasks)
        image = torch.from_numpy(np.repeat(np.arange(len(self)), np.diff(self.offsets)))
        masks = None if self.masks is None else self.masks.take(torch.from_numpy(self.mask_of))
        return BoxBatch(self.boxes_xyxy, self.labels, self.crowd, image, masks, torch.from_numpy(self.sizes))

    def move(self, batch: BoxBatch, moves: Moves) -> BoxBatch:
        raise AssertionError("boxes are mapped by the view of each image; a loader leaves nothing to move in a batch")


def transfer(batch: Any, device: torch.device) -> Any:
    """Move the targets of a batch to a device; from pinned memory to a GPU, so that nothing waits for it."""
    if isinstance(batch, Tensor):
        if device.type == "cuda" and batch.device.type == "cpu":
            return batch.pin_memory().to(device, non_blocking=True)
        return batch.to(device)
    if isinstance(batch, InstanceMasks):
        return InstanceMasks(batch.windows, transfer(batch.pixels, device))  # windows are read by the CPU
    if isinstance(batch, BoxBatch):
        on_device = {name: transfer(column, device) for name, column in batch._asdict().items()}
        return BoxBatch(**{**on_device, "sizes": batch.sizes})  # which the CPU reads
    return batch


def _at_least_a_pixel(boxes_xyxy: Tensor) -> Tensor:
    return (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] >= 1).all(1)
