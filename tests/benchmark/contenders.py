"""Networks of known speed, size and behaviour, with names such as `benchmark.contenders:sleeps_20_ms`."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

ALLOCATED_BYTES = 64 * 2**20
seen: list[Tensor] = []
"""The images that `looks` received."""


class Contender(nn.Module):
    """Calls a function on the images if they have values, then classifies their mean colour."""

    def __init__(self, work: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.work = work
        self.classifier = nn.Linear(3, 5)

    def forward(self, images: Tensor) -> Tensor:
        if not images.is_meta:
            self.work(images)
        scores: Tensor = self.classifier(images.mean((2, 3)))
        return scores


def sleeps_20_ms() -> nn.Module:
    return Contender(lambda images: time.sleep(0.02))


def sleeps_40_ms() -> nn.Module:
    return Contender(lambda images: time.sleep(0.04))


def looks() -> nn.Module:
    return Contender(seen.append)


def allocates() -> nn.Module:
    return Contender(lambda images: torch.ones(ALLOCATED_BYTES // 4))


def gives_up_after_six_steps() -> nn.Module:
    steps = iter(range(6))
    return Contender(lambda images: next(steps))


def runs_out_of_memory() -> nn.Module:
    def work(images: Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    return Contender(work)


def fits_four_images() -> nn.Module:
    def work(images: Tensor) -> None:
        if len(images) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        time.sleep(0.005)

    return Contender(work)


class NeedsValues(nn.Module):
    """Does not run on the meta device."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, 5)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.classifier(images.mean((2, 3))) * images.sum().item()
        return scores


def needs_values() -> nn.Module:
    return NeedsValues()


class Means(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


def averages() -> nn.Module:
    return Means()


def convolves() -> nn.Module:
    """3x3 from 3 to 8 channels: 216 multiply-accumulates a pixel, and 40 for the classifier."""
    convolution = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


class Filters(nn.Module):
    """Weighs frequencies by complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 8, 5, dtype=torch.complex64))
        self.classifier = nn.Linear(3, 5)

    def forward(self, images: Tensor) -> Tensor:
        filtered = torch.fft.irfft2(torch.fft.rfft2(images.float()) * self.weight).to(images.dtype)
        scores: Tensor = self.classifier(filtered.mean((2, 3)))
        return scores


def filters() -> nn.Module:
    return Filters()


def returns_a_number() -> int:
    return 3


def needs_argument(argument: int) -> nn.Module:
    raise AssertionError("is never called")


THREE = 3


def foreign() -> nn.Module:
    """A network without parameters in torch."""
    weights = torch.randn(3, 5)

    class Foreign(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean((2, 3)) @ weights

    return Foreign()


class Skipping(nn.Module):
    """Classifies images by every second pixel of 8 maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.skip = nn.Conv2d(8, 5, 1, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        return self.skip(self.stem(images)).mean((2, 3))


def skips_pixels() -> nn.Module:
    return Skipping()
