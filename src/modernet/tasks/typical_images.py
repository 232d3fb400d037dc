"""Images that a network may be calibrated and judged by, once it is trained."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from modernet.data import open_split
from modernet.data.reading import decode, examples_of
from modernet.preparation import Preparation
from modernet.tasks.named_network import NamedNetwork

_MOST = 512


def typical_images(network: NamedNetwork, data: str, preparation: Preparation) -> Tensor:
    """Return validation images, at most 512 from the whole of the split, cut and resized for a network.

    Args:
        network: what it learned from is left out, as `one_split` says.
        data: as `open_split` takes it.
        preparation: of the images; they are not normalised.

    Returns:
        uint8 `(n, 3, h, w)`.

    Raises:
        InputError: as `open_split`, or an image cannot be read.
    """
    opened = open_split(
        data, "validation", preparation, marks=network.marks(), targets="none", memory_limit_mb=0
    )  # fmt: skip
    examples = examples_of(opened.split)
    chosen = np.linspace(0, len(examples) - 1, min(len(examples), _MOST)).round().astype(np.int64)
    split, failures = decode(
        examples.take(chosen), preparation.size, "reading images", preparation.interpolation, preparation.crop
    )
    for failure in failures.values():
        raise failure
    return split.images
