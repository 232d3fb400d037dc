from __future__ import annotations

from functools import partial

import torch

from modernet.data import fit_image
from modernet.data.images.collection import DecodedImages
from modernet.data.images.views import Box, View, central_view


def test_decoded_grey_images_are_repeated_to_three_channels() -> None:
    grey = torch.arange(24, dtype=torch.uint8).view(2, 3, 4)
    images = DecodedImages(grey, "file")
    assert torch.equal(images.read(1), grey[1].expand(3, 3, 4))
    assert (len(images), images.size(1), images.name(1)) == (2, (3, 4), "file, image 1")


def test_a_view_of_decoded_images_is_cut_from_them() -> None:
    images = torch.randint(0, 256, (2, 3, 10, 14), dtype=torch.uint8)
    choose = partial(central_view, size=(6, 6), crop=0.8)
    pixels, view = DecodedImages(images, "file").read_view(1, choose, "bicubic")
    assert torch.equal(pixels, fit_image(images[1], 6, crop=0.8, interpolation="bicubic"))
    assert view == View(Box(1, 3, 8, 8), (6, 6))
