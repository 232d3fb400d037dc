"""Published weights of the zoo's networks: their files, preprocessing and licences."""

from __future__ import annotations

import fnmatch
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from modernet.catalogue.networks import TIMM_PREFIX, all_networks
from modernet.catalogue.timm_names import zoo_name
from modernet.errors import InputError, unknown_name
from modernet.files.hub_file import HubFile

PERMISSIVE = ("apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause")
"""Licences that allow any use, including commercial."""


@dataclass(frozen=True)
class WebFile:
    """A file at an address."""

    url: str
    sha256: str | None = None
    """The checksum or its first digits; None where the publisher gives none."""


@dataclass(frozen=True)
class PretrainedWeights:
    """A set of published weights, named `model.tag`."""

    model: str
    tag: str
    file: HubFile | WebFile
    num_classes: int
    """0: without a classifier."""
    image_size: int
    crop: float
    """Side of the central crop, relative to the shorter side of the image."""
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str
    """As stated by the publisher; empty if not stated."""
    top1: float | None = None
    """ImageNet-1K top-1 in per cent at `image_size`; None if not published."""
    crop_mode: Literal["center", "squash"] = "center"
    """`squash`: the whole image is resized to the square, whatever its shape, instead of cut."""
    test_image_size: int | None = None
    """Size at which the publisher tests them, where that is not the size of training."""
    test_crop: float | None = None
    """`crop` at that size."""

    @property
    def name(self) -> str:
        """`model.tag`."""
        return f"{self.model}.{self.tag}"

    @property
    def trained_on(self) -> str:
        """Names of the data sets in the tag: of pre-training, then of fine-tuning."""
        data = {"in1k": "ImageNet-1K", "in12k": "ImageNet-12K", "in21k": "ImageNet-21K", "in22k": "ImageNet-22K"}
        parts = [data[part] for part in self.tag.split("_") if part in data]
        return ", then ".join(parts)


def list_weights(pattern: str = "*", *, licence: str = "any") -> list[PretrainedWeights]:
    """Return the published weights whose `model.tag` or model matches a shell pattern.

    Args:
        licence: `"any"`; `"permissive"`: any use, including commercial; or a licence such as `"apache-2.0"`.
    """
    allowed = PERMISSIVE if licence == "permissive" else (licence,)
    return [
        entry
        for model in _models(pattern)
        for entry in weights_of(model)
        if (fnmatch.fnmatch(entry.name, pattern) or fnmatch.fnmatch(model, pattern))
        and (licence == "any" or entry.licence in allowed)
    ]


def find_weights(name: str) -> PretrainedWeights:
    """Return weights by `model.tag`, or the first of a model: trained on ImageNet-1K alone if there are such.

    The model may have timm's name.

    Raises:
        InputError: there are no such weights.
    """
    model, _, tag = zoo_name(name).partition(".")
    entries = weights_of(model)
    if not entries:
        remedy = f"leave out .{tag}, and give" if tag else "give"
        raise InputError(f"there are no published weights for {model}; {remedy} a file of weights")
    if not tag:
        return entries[0]
    for entry in entries:
        if entry.tag == tag:
            return entry
    raise unknown_name(f"set of weights for {model}", name, [entry.name for entry in entries])


@functools.cache
def weights_of(model: str) -> tuple[PretrainedWeights, ...]:
    """Return the published weights of a model; those trained on ImageNet-1K alone come first.

    Raises:
        InputError: there is no such model.
    """
    if model.startswith(TIMM_PREFIX):
        from modernet.catalogue.publishers import published_weights  # here, since timm takes seconds to import

        return published_weights(model)
    if model not in all_networks():
        raise unknown_name("model", model, all_networks())
    return _all_weights().get(model, ())


@functools.cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the names of the 1,000 classes of ImageNet-1K, in the order of published networks' outputs."""
    return tuple((files(__package__) / "imagenet_1k.txt").read_text(encoding="utf-8").splitlines())


@functools.cache
def imagenet_synsets() -> tuple[str, ...]:
    """Return the WordNet synsets of the 1,000 classes of ImageNet-1K, such as `n01440764`, in the same order."""
    return tuple((files(__package__) / "imagenet_1k_synsets.txt").read_text(encoding="utf-8").split())


def _models(pattern: str) -> list[str]:
    if not pattern.startswith(TIMM_PREFIX):
        return list(all_networks())
    from modernet.catalogue.publishers import timm_models  # here, since timm takes seconds to import

    return timm_models(pattern.partition(".")[0] + "*")


@functools.cache
def _all_weights() -> Mapping[str, tuple[PretrainedWeights, ...]]:
    """Return the weights by model."""
    rows = json.loads((files(__package__) / "weights.json").read_text(encoding="utf-8"))["weights"]
    found: dict[str, tuple[PretrainedWeights, ...]] = {}
    for row in rows:
        found[row["model"]] = (*found.get(row["model"], ()), _from_row(row))
    return found


def _from_row(row: dict[str, Any]) -> PretrainedWeights:
    file = WebFile(**row["file"]) if "url" in row["file"] else HubFile(**row["file"])
    return PretrainedWeights(**row | {"file": file, "mean": tuple(row["mean"]), "std": tuple(row["std"])})
