"""Images that are corrupted each time that they are read."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.images.collection import Images, WrappedImages
from modernet.data.images.views import ChooseView, View
from modernet.data.transforms.corruptions.corruption import Corrupt
from modernet.preparation import Interpolation

_LARGEST_TABLE = 224  # that of 299 is for one network's images of that size


class CorruptedImages(WrappedImages):
    """The images of a collection, corrupted upright and at their own size, before a view of them is cut out.

    An image is corrupted alike each time. Targets stay as they are: `elastic_transform`, `zoom_blur` and `glass_blur`
    move pixels, but no box and no label map. Where `corrupt` names no table, images with a shorter side above 224
    pixels have the parameters for 224, and smaller ones those that suit them. All of this is as in COCO-C (Michaelis et
    al. 2019, "Benchmarking Robustness in Object Detection"), but for the parameters of small images.

    Args:
        images: the clean ones.
        corrupt: what is done to each.
    """

    def __init__(self, images: Images, corrupt: Corrupt) -> None:
        super().__init__(images)
        self.corrupt = corrupt

    def versions(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """As `Images.versions`; other numbers than those of the clean images, or under another corruption."""
        corrupt = self.corrupt
        settings = (corrupt.name, corrupt.severity, corrupt.seed, corrupt.table, corrupt.frost is not None)
        return self.images.versions(indices) ^ (zlib.crc32(repr(settings).encode()) << 31)

    def read(self, index: int) -> Tensor:
        image = self.images.read(index)
        corrupt = self.corrupt
        if corrupt.table is None and min(image.shape[-2:]) > _LARGEST_TABLE:
            corrupt = replace(corrupt, table=_LARGEST_TABLE)
        return corrupt(image[None])[0]

    def read_view(self, index: int, choose: ChooseView, interpolation: Interpolation) -> tuple[Tensor, View]:
        image = self.read(index)
        view = choose(*image.shape[-2:])
        return view.show(image, interpolation), view
