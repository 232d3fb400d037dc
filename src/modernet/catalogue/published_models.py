"""Published results of image classifiers, as timm measured them: accuracy, robustness, size and speed.

What papers say of their own networks is in `published_papers`.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib.resources import files

DEVICES = {
    "rtx4090": "RTX 4090, AMP, PyTorch 2.9.1",
    "rtx4090_compiled": "RTX 4090, AMP, torch.compile, PyTorch 2.9.1",
    "rtx5090_compiled": "RTX 5090, AMP, torch.compile, PyTorch 2.9.1",
    "rtx3090_channels_last": "RTX 3090, AMP, channels last, PyTorch 2.4.0",
    "i9_10940x_compiled": "Core i9-10940X, batch 1, float32, torch.compile, PyTorch 2.4.0",
}
"""Device whose speeds are known -> how they were measured."""

ACCURACIES = {
    "top1": "ImageNet-1K top-1",
    "real": "ImageNet-ReaL top-1",
    "v2": "ImageNet-V2 top-1, matched frequency",
    "a": "ImageNet-A top-1",
    "r": "ImageNet-R top-1",
    "sketch": "ImageNet-Sketch top-1",
}
"""Test set -> what is measured on it, in per cent."""


@dataclass(frozen=True)
class PublishedModel:
    """A model with its weights at one image size, which every number of it is of.

    Attributes:
        name: timm's, or the paper's.
        family: as the field calls it; `convnext_in22` is ConvNeXt with more data than ImageNet-1K.
        licence: of the weights, as timm states it; empty if it does not, and of a paper's network.
        extra_data: whether it has learned from other images than those of ImageNet-1K.
        image_size: side in pixels.
        params_m: parameters in 10^6; None where not published.
        gmacs: multiply-accumulates per image in 10^9; None where not published.
        accuracies: per cent, by the names of `ACCURACIES`; those that are published.
        speeds: images per second, by the names of `DEVICES`; those that are published for this size.
        mce: mean corruption error on ImageNet-C in per cent of AlexNet's; lower is better. None where not published.
        source: who says so: `"timm"`, or a name of `published_papers.PAPERS`.
        architecture: timm's name of the network without its weights; empty if timm has none.
    """

    name: str
    family: str
    licence: str
    extra_data: bool
    image_size: int
    params_m: float | None
    gmacs: float | None
    accuracies: dict[str, float]
    speeds: dict[str, float]
    mce: float | None = None
    source: str = "timm"
    architecture: str = ""


@functools.cache
def published_models() -> tuple[PublishedModel, ...]:
    """Return all of them, the most accurate first."""
    return tuple(
        PublishedModel(
            name=row["model"],
            family=row["family"],
            licence=row["licence"],
            extra_data=row["extra_data"] == "1",
            image_size=int(row["image_size"]),
            params_m=float(row["params_m"]),
            gmacs=float(row["gmacs"]) if row["gmacs"] else None,
            accuracies={name: float(row[name]) for name in ACCURACIES if row[name]},
            speeds={name: float(row[name]) for name in DEVICES if row[name]},
            architecture=row["model"].partition(".")[0],
        )
        for row in csv.DictReader(_lines()[1:])
    )


def published_source() -> str:
    """Return where the results are from: repository, commit and licence."""
    return _lines()[0].removeprefix("# ")


@functools.cache
def _lines() -> list[str]:
    return (files("modernet.catalogue") / "published_models.csv").read_text(encoding="utf-8").splitlines()
