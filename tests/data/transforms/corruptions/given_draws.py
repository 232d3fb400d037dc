"""What a corruption and its reference give for the same images and the same random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.transforms.corruptions.pictures import pixels
from modernet.data.transforms.corruptions import CORRUPTIONS, Corrupt
from modernet.data.transforms.corruptions.chance import ImageChance


def differences(
    reference: Callable[..., np.ndarray], name: str, severity: int, images: Tensor, table: int = 224, **options: Any
) -> np.ndarray:
    """Return the absolute differences of the grey levels of both.

    Args:
        options: of the reference, beside the parameters of the table.
    """
    keys = range(len(images))
    ours = Corrupt(name, severity, table=table)(images, keys)
    streams = ImageChance(0, f"{name} {severity}", keys, torch.device("cpu")).streams
    parameters = CORRUPTIONS[name].parameters(severity, table)
    theirs = [
        reference(image, stream, *parameters, **options).astype(np.uint8)
        for image, stream in zip(pixels(images), streams, strict=True)
    ]
    return np.abs(np.subtract(pixels(ours), theirs, dtype=int))
