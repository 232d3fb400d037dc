"""Images as they are read from a JPEG file."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch import Tensor


def as_jpeg(images: Tensor, quality: int) -> Tensor:
    """Write each image as JPEG with PIL's defaults, so that chroma has half the resolution, and read it.

    Args:
        images: uint8 (b, 3, h, w), on any device; the work is done on the CPU.
        quality: 1 to 95.

    Returns:
        uint8 (b, 3, h, w)
    """
    read = []
    for pixels in images.permute(0, 2, 3, 1).cpu().contiguous().numpy():  # in memory, batches are n h w c already
        file = BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        read.append(simplejpeg.decode_jpeg(file.getbuffer()))  # the bytes that PIL reads, in less time
    return torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).to(images.device)
