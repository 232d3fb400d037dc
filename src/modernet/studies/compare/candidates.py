"""The networks of a comparison, as the user names them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernet.catalogue import find_weights
from modernet.catalogue.fields import parse_candidate
from modernet.errors import InputError
from modernet.models import create_model, get_entry
from modernet.recipes import Recipe
from modernet.records import is_run_path
from modernet.tasks import TrainRequest
from modernet.tasks.input_kinds import check_takes

_SUFFIXES = (".safetensors", ".pth")


@dataclass(frozen=True)
class Candidate:
    """A network to train, and what it starts from.

    Attributes:
        label: as the user wrote it, such as `"resnet18:width=16"`.
        model: name of the network, with the tag of its weights if it has one.
        fields: of its config, those to change.
        weights: file of weights to start from, from the folder of weights.
        published: name of the published weights that it starts from; None if it has no tag or starts from `weights`.
        licence: of the weights as their publisher states it; "" if not stated, None for random ones.
    """

    label: str
    model: str
    fields: Mapping[str, Any]
    weights: Path | None
    published: str | None
    licence: str | None

    @property
    def starts_from(self) -> str | None:
        """Name of the weights that training starts from; None for random ones."""
        return self.published if self.weights is None else self.weights.name

    @property
    def folder(self) -> str:
        """Name of its folder: the label, with anything but letters, digits, `.`, `-` and `_` as one `-`."""
        return re.sub(r"[^\w.-]+", "-", self.label).strip("-")

    def train_request(self, recipe: Recipe, data: str, seed: int, skip_unreadable: bool) -> TrainRequest:
        """Return what trains it on data, whose opened images are kept for the next one."""
        return TrainRequest(recipe, self.model, self.fields, self.weights, data, seed, skip_unreadable, True)


def parse_candidates(names: Sequence[str], weights_dir: Path | None = None) -> list[Candidate]:
    """Read candidates: a network, `timm:NAME`, or `model.tag` for published weights; each perhaps with fields of its
    config after a colon: `resnet18:width=16,depths=(1,1,1,1)`.

    Args:
        weights_dir: folder of weight files, `NAME.safetensors` or `NAME.pth`, where NAME is that of the network, with
            the tag if it has one, and `.` and `:` may be `_`.

    Raises:
        InputError: there is no such network, weights or field; two names mean one folder; or the folder of weights does
            not exist, or has none for any of them.
    """
    if weights_dir is not None and not weights_dir.is_dir():
        raise InputError(f"there is no folder {weights_dir}; give one with files such as convnext_tiny.safetensors")
    candidates = [_parse(name, weights_dir) for name in names]
    seen: dict[str, str] = {}
    for candidate in candidates:
        other = seen.setdefault(candidate.folder.lower(), candidate.label)
        if other is not candidate.label:
            raise InputError(f"{other} and {candidate.label} would share a folder; give one of them")
    if weights_dir is not None and all(candidate.weights is None for candidate in candidates):
        first = candidates[0].model
        raise InputError(
            f"{weights_dir} has no weights for any of these networks; name a file {first}.safetensors or {first}.pth"
        )
    return candidates


def _parse(label: str, weights_dir: Path | None) -> Candidate:
    if is_run_path(label):
        raise InputError(f"{label} is the path of a run; compare trains networks: give one of modernet models")
    model, fields = parse_candidate(label)
    network, _, tag = model.partition(".")
    check_takes(network, "images", "of a comparison")
    entry = get_entry(network)
    published = find_weights(model) if tag else None
    if fields:
        with torch.device("meta"):
            create_model(entry.name, **fields)
    weights = None if weights_dir is None else weights_file(model, weights_dir)
    licence = None if published is None and weights is None else "" if published is None else published.licence
    return Candidate(label, model, fields, weights, None if published is None or weights else published.name, licence)


def weights_file(model: str, folder: Path) -> Path | None:
    """Return the file of weights for a network; None if there is none.

    Raises:
        InputError: there are several.
    """
    names = {model, re.sub(r"[.:]", "_", model), model.replace(":", "_")}
    found = sorted(
        path for name in names for path in (folder / f"{name}{suffix}" for suffix in _SUFFIXES) if path.is_file()
    )
    if len(found) > 1:
        raise InputError(f"{found[0]} and {found[1]} are both weights for {model}; leave one of them there")
    return found[0] if found else None
