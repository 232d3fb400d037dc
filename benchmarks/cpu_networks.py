"""The networks that `cpu_precision.py` measures, their images, and how far answers are from the exact ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from modernet import create_model, load_weights
from modernet.data import open_split
from modernet.data.images.marks import NO_MARKS
from modernet.evaluation.saved import saved_loader
from modernet.statistics import paired_interval
from modernet.weights import SavedNetwork, load_model

SIDE, CLASSES = 224, 1000
TUNING = 128
"""Photos by which ways are chosen and calibrated; the others judge."""
NOISE = 96
"""Random images in place of photos."""


@dataclass(frozen=True)
class Network:
    """A network in modernet and in timm; `options` are timm's."""

    title: str
    modernet: str
    timm: str
    options: dict[str, Any] = field(default_factory=dict)


TRAINED = "efficientnet_lite0"
NETWORKS = {
    # a layer scale of 1e-6 would hide what blocks compute
    "convnext_tiny": Network("ConvNeXt-T", "convnext_tiny", "convnext_tiny", {"ls_init_value": 1.0}),
    "swin_tiny": Network("Swin-T", "swin_tiny", "swin_tiny_patch4_window7_224"),
    "resnet50": Network("ResNet-50", "resnet50", "resnet50"),
    TRAINED: Network("EfficientNet-Lite0", "timm:tf_efficientnet_lite0", "tf_efficientnet_lite0"),
}


@dataclass(frozen=True)
class Photos:
    """Images `(n, 3, h, w)` to tune by and to judge by, and their classes if they are known."""

    tuning: Tensor
    test: Tensor
    tuning_labels: Tensor | None = None
    test_labels: Tensor | None = None


def make_noise() -> Photos:
    """Return random images without classes."""
    images = torch.randn(NOISE, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return Photos(*images.split(NOISE - 32))


def read_photos(data: str, weights: Path) -> Photos:
    """Read photos of ImageNet's classes, prepared as the trained network sees them, in one fixed order.

    Raises:
        InputError: they or the weights cannot be read, or a class is not one of ImageNet's.
    """
    saved: SavedNetwork = load_model(NETWORKS[TRAINED].modernet, weights)
    opened = open_split(data, "test", saved.preparation, marks=NO_MARKS)
    loader = saved_loader(saved, opened, batch_size=64, device=torch.device("cpu"))
    batches = list(loader.batches(0))
    images, labels = torch.cat([batch.images for batch in batches]), torch.cat([batch.targets for batch in batches])
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    images, labels = images[order].contiguous(), labels[order]
    return Photos(images[:TUNING], images[TUNING:], labels[:TUNING], labels[TUNING:])


@dataclass(frozen=True)
class Subject:
    """A network to run: timm's, modernet's with the same weights, and its images.

    Attributes:
        batch: batch size.
        trained: whether its answers mean something.
    """

    timm: nn.Module
    modernet: nn.Module
    photos: Photos
    batch: int
    trained: bool

    @property
    def images(self) -> Tensor:
        """A batch."""
        return self.photos.tuning[: self.batch]

    @property
    def calibration(self) -> list[Tensor]:
        """The images to calibrate with, in whole batches."""
        return [part for part in self.photos.tuning.split(self.batch) if len(part) == self.batch]


def make_subject(name: str, batch: int, photos: Photos, weights: Path | None) -> Subject:
    """Build one of `NETWORKS`, trained if it is the one with weights."""
    torch.manual_seed(0)
    network, trained = NETWORKS[name], name == TRAINED and weights is not None
    theirs = timm.create_model(network.timm, checkpoint_path=str(weights) if trained else "", **network.options).eval()
    ours = create_model(network.modernet).eval()
    load_weights(ours, theirs.state_dict())
    return Subject(theirs, ours, photos, batch, trained)


@torch.no_grad()
def scores_of(run: Callable[[Tensor], Tensor], subject: Subject) -> Tensor:
    """Return the scores `(n, k)` of the images to judge by, in batches of one size; the last one is filled up."""
    images, batch = subject.photos.test, subject.batch
    found = []
    for start in range(0, len(images), batch):
        found.append(run(images[torch.arange(start, start + batch) % len(images)]).clone())
    return torch.cat(found)[: len(images)]


def judge(found: Tensor, exact: Tensor, subject: Subject) -> dict[str, float]:
    """Compare scores with the exact ones: accuracy and what was lost of it if the network is trained, and the error.

    The relative error is the root mean square of the difference, in units of that of the exact scores.
    """
    numbers = {"relative error": float((found - exact).square().mean().sqrt() / exact.square().mean().sqrt())}
    labels = subject.photos.test_labels
    if not subject.trained or labels is None:
        return numbers
    before, after = exact.argmax(1) == labels, found.argmax(1) == labels
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    ends = paired_interval(int((before & after).sum()), lost, gained, len(labels))
    return numbers | {
        "% equal top-1": 100 * float((exact.argmax(1) == found.argmax(1)).double().mean()),
        "% top-1": 100 * float(after.double().mean()),
        "points lost": 100 * (lost - gained) / len(labels),
        "points lost, low": 100 * ends.low,
        "points lost, high": 100 * ends.high,
    }
