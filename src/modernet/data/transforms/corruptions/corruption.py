"""What a corruption is, and how it is applied to images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.levels import truncated
from modernet.errors import InputError
from modernet.registry import Registry

Suite = Literal["c", "extra", "cbar"]
"""The 15 corruptions of ImageNet-C, its 4 others, and the 10 of ImageNet-C-bar."""
Parameters = tuple[Any, ...]
SEVERITIES = (1, 2, 3, 4, 5)
_TABLES = (32, 64, 224, 299)
_PIXELS_AT_ONCE = 2**17  # on a CPU, so that what is computed of them stays in the cache of a core


@dataclass(frozen=True)
class Corruption:
    """A corruption with its published parameters.

    Attributes:
        suite: where it is published.
        function: images uint8 (b, 3, h, w), `ImageChance`, parameters -> uint8 of the same shape, or any float type in
            grey levels, which is clamped to [0, 255] and truncated, as published.
        tables: side of the images that parameters are published for (32 CIFAR-10-C, 64 Tiny ImageNet-C, 224 ImageNet-C,
            299 for Inception) -> the parameters of severities 1 to 5.
    """

    suite: Suite
    function: Callable[..., Tensor]
    tables: Mapping[int, tuple[Parameters, Parameters, Parameters, Parameters, Parameters]]

    def parameters(self, severity: int, side: int) -> Parameters:
        """Return the parameters of a severity for images with a shorter side of `side` pixels: those of the table whose
        side differs by the smallest factor; of two, the smaller.
        """
        table = min(sorted(self.tables), key=lambda size: max(size / side, side / size))
        return self.tables[table][severity - 1]


CORRUPTIONS = Registry[Corruption]("corruption")


@dataclass(frozen=True)
class Corrupt:
    """A corruption of a severity, to be applied to batches. It is a value that travels to worker processes.

    Attributes:
        name: one of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: of everything random.
        table: the published table to use, by its side: 32, 64, 224 or 299, and where it is not published, the nearest;
            None is the one that suits the images.
        frost: a folder with the six photographs of frost of ImageNet-C; None synthesises frost.

    Raises:
        InputError: there is no such corruption, severity or table.
    """

    name: str
    severity: int
    seed: int = 0
    table: int | None = None
    frost: Path | None = None

    def __post_init__(self) -> None:
        _ = CORRUPTIONS[self.name]
        if self.severity not in SEVERITIES:
            raise InputError(f"severity is {self.severity}; give 1 to 5")
        if self.table not in (None, *_TABLES):
            raise InputError(f"table is {self.table}; give 32, 64, 224, 299 or None")

    def __call__(self, images: Tensor, keys: Sequence[int] | None = None) -> Tensor:
        """Corrupt images.

        Args:
            images: uint8 (b, 3, h, w), on any device; one without float64 leaves the work to the CPU.
            keys: a number for each image that its random numbers depend on, as on `seed`, corruption and severity;
                None takes a checksum of its pixels, `content_keys`. So an image is corrupted alike in every batch and
                process.

        Returns:
            uint8 (b, 3, h, w)

        Raises:
            InputError: the images have another shape or type, or there is not one key for each.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            given = f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"
            raise InputError(f"images to corrupt are {given}; give uint8 (b, 3, h, w)")
        if keys is not None and len(keys) != len(images):
            raise InputError(f"there are {len(keys)} keys for {len(images)} images; give one for each")
        if not len(images):
            return images
        if images.device.type == "mps":
            return self(images.cpu(), keys).to(images.device)
        keyed: Sequence[int] | Tensor = images if keys is None else keys
        *_, h, w = images.shape
        at_once = max(1, _PIXELS_AT_ONCE // (h * w)) if images.device.type == "cpu" else len(images)
        starts = range(0, len(images), at_once)
        with torch.autocast(images.device.type, enabled=False):
            return torch.cat([self._corrupted(images[i : i + at_once], keyed[i : i + at_once]) for i in starts])

    def _corrupted(self, images: Tensor, keys: Sequence[int] | Tensor) -> Tensor:
        corruption = CORRUPTIONS[self.name]
        chance = ImageChance(self.seed, f"{self.name} {self.severity}", keys, images.device)
        parameters = corruption.parameters(self.severity, self.table or min(images.shape[-2:]))
        extra = {"folder": self.frost} if self.name == "frost" else {}
        corrupted = corruption.function(images, chance, *parameters, **extra)
        if corrupted.dtype != torch.uint8:
            corrupted = truncated(corrupted)
        return corrupted


def suite_names(*suites: Suite) -> list[str]:
    """Return the names of the corruptions of suites, in the order of the papers."""
    return [name for suite in suites for name, corruption in CORRUPTIONS.items() if corruption.suite == suite]
