"""A trained network as two files: how to build and feed it, and its weights. No pickle is involved."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.models import create_model
from modernet.preparation import Preparation
from modernet.records import NETWORK_NAME, damaged_network, read_network
from modernet.roadmap.design import Design
from modernet.roadmap.network import build
from modernet.weights.safetensors_file import read_safetensors

WEIGHTS_NAME = "model.safetensors"


@dataclass(frozen=True)
class NetworkSpec:
    """How to build a network: a model of the zoo by its name, or a design of the road by its fields. JSON-able."""

    kind: Literal["model", "design"]
    name: str
    """The model's name, or the step's."""
    fields: dict[str, Any]
    """Fields of the model's config that differ from its defaults, or every field of the design."""
    head: dict[str, Any] = field(default_factory=dict)
    """What a task puts on the network; empty for its plainest head, and for a classifier."""

    @staticmethod
    def of_design(name: str, design: Design) -> NetworkSpec:
        """The spec of a design of the road."""
        return NetworkSpec("design", name, asdict(design))

    def build(self, num_classes: int, drop_path_rate: float = 0.0) -> nn.Module:
        """Make the network with random weights, on torch's default device."""
        if self.kind == "design":
            values: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in self.fields.items()
            }  # JSON has no tuples
            return build(Design(**values), num_classes=num_classes, drop_path_rate=drop_path_rate)
        return create_model(self.name, **{"num_classes": num_classes, "drop_path_rate": drop_path_rate, **self.fields})


@dataclass(frozen=True)
class Description:
    """What `network.json` says of a trained network."""

    spec: NetworkSpec
    classes: tuple[str, ...]
    preparation: Preparation
    task: str


@dataclass(frozen=True)
class SavedNetwork:
    """A trained network, its classes, and how images are prepared for it."""

    network: nn.Module
    """In evaluation mode, on the CPU, in channels-last layout as it was trained."""
    spec: NetworkSpec
    classes: tuple[str, ...]
    preparation: Preparation
    """How images are prepared for it."""
    task: str = "classification"
    """Kind of the task that it was trained for."""


def save_network(
    folder: Path,
    network: nn.Module,
    spec: NetworkSpec,
    classes: Sequence[str],
    preparation: Preparation,
    task: str = "classification",
) -> None:
    """Write a trained network to a folder, with how its images are prepared."""
    description = {
        "task": task,
        "spec": asdict(spec),
        "classes": classes,
        **asdict(preparation),
    }
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with whole_file(folder / WEIGHTS_NAME) as unfinished:
        save_file(weights, unfinished)
    with whole_file(folder / NETWORK_NAME) as unfinished:
        unfinished.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def _build_classifier(task: str, spec: NetworkSpec, num_classes: int) -> nn.Module:
    return spec.build(num_classes)


def load_network(folder: Path, build: Callable[[str, NetworkSpec, int], nn.Module] = _build_classifier) -> SavedNetwork:
    """Load a network that `save_network` wrote.

    Args:
        build: makes the network of a task from the spec of its backbone and the number of classes;
            `modernet.tasks.load_network` knows that of every task.

    Raises:
        InputError: the folder contains no network, or its files are damaged or do not belong together.
    """
    about = read_description(folder)
    try:
        with torch.device("meta"):
            network = build(about.task, about.spec, len(about.classes))
        network.load_state_dict(read_safetensors(folder / WEIGHTS_NAME), assign=True)
        return SavedNetwork(
            network.eval().to(memory_format=torch.channels_last),
            about.spec,
            about.classes,
            about.preparation,
            about.task,
        )
    except InputError:  # which says more, even where it is a TypeError too
        raise
    except (OSError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise damaged_network(folder, error) from error


def read_description(folder: Path) -> Description:
    """Read what `save_network` wrote of a network besides its weights.

    Raises:
        InputError: the folder contains no network, or the file is damaged.
    """
    description = read_network(folder)
    try:
        return Description(
            _spec(description["spec"]),
            tuple(description["classes"]),
            _preparation(description),
            description.get("task", "classification"),  # early versions knew no other
        )
    except (KeyError, TypeError) as error:
        raise damaged_network(folder, error) from error


def folder_of_run(weights: Path) -> Path | None:
    """Return the folder of the run whose weights these are, given as its folder or its file; None for other weights."""
    folder = weights.parent if weights.name == WEIGHTS_NAME else weights
    return folder if (folder / NETWORK_NAME).is_file() else None


def _spec(stored: Mapping[str, Any]) -> NetworkSpec:
    spec = NetworkSpec(**stored)
    if spec.kind == "model" and "dropout" in spec.fields:  # the name of early versions
        renamed = {"drop_rate" if name == "dropout" else name: value for name, value in spec.fields.items()}
        return replace(spec, fields=renamed)
    return spec


def _preparation(description: Mapping[str, Any]) -> Preparation:
    size = description["image_size"]
    return Preparation(
        size if isinstance(size, int) else tuple(size),
        tuple(description["mean"]),
        tuple(description["std"]),
        description.get("crop", 1.0),  # early versions stored neither
        description.get("interpolation", "bilinear"),
    )
