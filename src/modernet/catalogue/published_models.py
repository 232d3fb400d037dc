"""Published results of image classifiers, as timm measured them: accuracy, robustness, size and speed."""

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
        name: timm's.
        family: as the field calls it; `convnext_in22` is ConvNeXt with more data than ImageNet-1K.
        licence: of the weights, as timm states it; empty if it does not.
        extra_data: whether it has learned from other images than those of ImageNet-1K.
        image_size: side in pixels.
        params_m: parameters in 10^6.
        gmacs: multiply-accumulates per image in 10^9; None where not published.
        accuracies: per cent, by the names of `ACCURACIES`; those that are published.
        speeds: images per second, by the names of `DEVICES`; those that are published for this size.
    """

    name: str
    family: str
    licence: str
    extra_data: bool
    image_size: int
    params_m: float
    gmacs: float | None
    accuracies: dict[str, float]
    speeds: dict[str, float]


@functools.cache
def published_models() -> tuple[PublishedModel, ...]:
    """Return all of them, the most accurate first."""
    return tuple(
        PublishedModel(
            row["model"],
            row["family"],
            row["licence"],
            row["extra_data"] == "1",
            int(row["image_size"]),
            float(row["params_m"]),
            float(row["gmacs"]) if row["gmacs"] else None,
            {name: float(row[name]) for name in ACCURACIES if row[name]},
            {name: float(row[name]) for name in DEVICES if row[name]},
        )
        for row in csv.DictReader(_lines()[1:])
    )


def published_source() -> str:
    """Return where the results are from: repository, commit and licence."""
    return _lines()[0].removeprefix("# ")


@functools.cache
def _lines() -> list[str]:
    return (files("modernet.catalogue") / "published_models.csv").read_text(encoding="utf-8").splitlines()
