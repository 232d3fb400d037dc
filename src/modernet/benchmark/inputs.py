"""What the networks of a benchmark are given: batches of images, sequences or point clouds of random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from modernet.data.points.inputs import PointInputs
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.preparation import ImageSize, as_size
from modernet.weights import SavedNetwork

Batch = tuple[Tensor, ...]
"""The arguments of a network."""


class Inputs(Protocol):
    """A kind of examples, and what the examples of one network have.

    Attributes:
        unit: what they are, in the plural; throughputs count them.
        one: the same in the singular.
        layouts: memory layouts that are measured if none is asked for.
    """

    unit: ClassVar[str]
    one: ClassVar[str]
    layouts: ClassVar[tuple[str, ...]]

    def check(self, size: ImageSize) -> None:
        """Check that examples can have a size.

        Raises:
            InputError: they cannot.
        """

    def draw(
        self, batch: int, size: ImageSize, dtype: torch.dtype, layout: torch.memory_format, device: torch.device
    ) -> Batch:
        """Return a batch of random examples.

        Args:
            size: of images in pixels; of sequences in steps, and of clouds in points.
            dtype: of what is not an integer.
        """


@dataclass(frozen=True)
class Images:
    """Images `(b, in_chans, h, w)`."""

    unit: ClassVar[str] = "images"
    one: ClassVar[str] = "image"
    layouts: ClassVar[tuple[str, ...]] = ("channels_last",)
    in_chans: int = 3

    def check(self, size: ImageSize) -> None:
        """As `Inputs.check`."""
        if min(as_size(size)) < 1:
            raise InputError(f"image_size is {size}; give the side of an image in pixels, 1 or more")

    def draw(
        self, batch: int, size: ImageSize, dtype: torch.dtype, layout: torch.memory_format, device: torch.device
    ) -> Batch:
        """As `Inputs.draw`."""
        images = torch.randn(batch, self.in_chans, *as_size(size), device=device, dtype=dtype)
        return (images.contiguous(memory_format=layout),)


@dataclass(frozen=True)
class Sequences:
    """Sequences without padding, or pairs of them, as `modernet.sequences.SequenceNetwork` takes them.

    Attributes:
        inputs: what they are; they are as long as is measured.
        trained: whether a network was trained on them, which takes no longer ones.
    """

    unit: ClassVar[str] = "sequences"
    one: ClassVar[str] = "sequence"
    layouts: ClassVar[tuple[str, ...]] = ("contiguous",)
    inputs: SequenceInputs
    trained: bool = False

    def check(self, size: ImageSize) -> None:
        """As `Inputs.check`."""
        _check_length(size)
        most = self.inputs.max_length
        if self.trained and steps_of(size) > most:
            raise InputError(
                f"length is {size}, and the run has learned from at most {most} steps; give {most} or less"
            )

    def draw(
        self, batch: int, size: ImageSize, dtype: torch.dtype, layout: torch.memory_format, device: torch.device
    ) -> Batch:
        """As `Inputs.draw`."""
        steps, inputs = steps_of(size), self.inputs
        lengths = torch.full((batch,), steps, dtype=torch.int64, device=device)
        drawn: list[Tensor] = []
        for _ in range(inputs.towers):
            if inputs.vocabulary is None:
                values = torch.randn(batch, steps, inputs.channels, device=device, dtype=dtype)
            else:
                values = torch.randint(1, inputs.vocabulary, (batch, steps), device=device)  # 0 is padding
            drawn += [values, lengths]
        return tuple(drawn)


@dataclass(frozen=True)
class Clouds:
    """Point clouds, and their categories for a network that segments them.

    Attributes:
        inputs: what they are.
        segmented: whether the network has a class for each point.
    """

    unit: ClassVar[str] = "clouds"
    one: ClassVar[str] = "cloud"
    layouts: ClassVar[tuple[str, ...]] = ("contiguous",)
    inputs: PointInputs
    segmented: bool = False

    def check(self, size: ImageSize) -> None:
        """As `Inputs.check`."""
        _check_length(size)

    def draw(
        self, batch: int, size: ImageSize, dtype: torch.dtype, layout: torch.memory_format, device: torch.device
    ) -> Batch:
        """As `Inputs.draw`."""
        points = torch.randn(batch, steps_of(size), self.inputs.channels, device=device, dtype=dtype)
        if not self.segmented:
            return (points,)
        return points, torch.randint(max(self.inputs.categories, 1), (batch,), device=device)


def inputs_of(saved: SavedNetwork) -> Inputs:
    """Return what a trained network is given."""
    if isinstance(saved.inputs, Encoding):
        return Sequences(saved.inputs.inputs, trained=True)
    if isinstance(saved.inputs, PointInputs):
        return Clouds(saved.inputs, segmented=saved.task == "point_segmentation")
    return Images(len(saved.preparation.mean))


def steps_of(size: ImageSize) -> int:
    """Return the length of a sequence, or the points of a cloud."""
    assert isinstance(size, int), "only images have height and width"
    return size


def _check_length(size: ImageSize) -> None:
    if steps_of(size) < 1:
        raise InputError(f"length is {size}; give the steps of a sequence or the points of a cloud, 1 or more")
