"""Images pass through JPEG as PIL writes and reads it."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from PIL import Image

from modernet.data.transforms.corruptions.jpeg import as_jpeg


def test_images_are_those_that_pil_writes_and_reads() -> None:
    images = torch.randint(256, (3, 3, 21, 34), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for image, read in zip(images, as_jpeg(images, 85), strict=True):
        file = BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=85, optimize=True)
        assert np.array_equal(np.asarray(Image.open(file)), read.permute(1, 2, 0).numpy())
