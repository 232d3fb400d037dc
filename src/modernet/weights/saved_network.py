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

from modernet.data.points.inputs import PointInputs
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.models import create_model
from modernet.points.config import PointConfig
from modernet.points.zoo import point_config
from modernet.preparation import Preparation
from modernet.records import NETWORK_NAME, damaged_network, read_network
from modernet.roadmap.design import Design
from modernet.roadmap.network import build
from modernet.sequences.config import SequenceConfig
from modernet.sequences.network import SequenceNetwork
from modernet.sequences.zoo import sequence_config
from modernet.weights.safetensors_file import read_safetensors

WEIGHTS_NAME = "model.safetensors"


@dataclass(frozen=True)
class NetworkSpec:
    """How to build a network: a model of the zoo, for sequences or point clouds, or a design of the road. JSON-able."""

    kind: Literal["model", "design", "sequence", "points"]
    name: str
    """The model's name, or the step's."""
    fields: dict[str, Any]
    """Fields of the model's config that differ from its defaults, or every field of the design."""
    head: dict[str, Any] = field(default_factory=dict)
    """What a task puts on the network; empty for its plainest head, and for a classifier of images. Of a model for
    sequences or point clouds, also `inputs`, the fields of its `SequenceInputs` or `PointInputs`."""

    @staticmethod
    def of_design(name: str, design: Design) -> NetworkSpec:
        """The spec of a design of the road."""
        return NetworkSpec("design", name, asdict(design))

    def build(self, num_classes: int, drop_path_rate: float = 0.0) -> nn.Module:
        """Make the network with random weights, on torch's default device; only models for images have drop path."""
        if self.kind == "sequence":
            return SequenceNetwork(*self.sequence_parts(), num_classes)
        if self.kind == "points":
            config, inputs = self.point_parts()
            return config.classifier(inputs, num_classes)
        if self.kind == "design":
            return build(Design(**self._values()), num_classes=num_classes, drop_path_rate=drop_path_rate)
        return create_model(self.name, **{"num_classes": num_classes, "drop_path_rate": drop_path_rate, **self.fields})

    def sequence_parts(self) -> tuple[SequenceConfig, SequenceInputs]:
        """Return the config of a sequence model, and what its sequences are."""
        return sequence_config(self.name, **self._values()), SequenceInputs(**self.head["inputs"])

    def point_parts(self) -> tuple[PointConfig, PointInputs]:
        """Return the config of a model for point clouds, and what its clouds are."""
        return point_config(self.name, **self._values()), PointInputs(**self.head["inputs"])

    def _values(self) -> dict[str, Any]:
        """Return the fields; JSON has no tuples."""
        return {key: tuple(value) if isinstance(value, list) else value for key, value in self.fields.items()}


Inputs = Preparation | Encoding | PointInputs
"""What a network is given: images, prepared for it, encoded sequences, or point clouds."""


def preparation_of(inputs: Inputs) -> Preparation:
    """Return how images are prepared for a network.

    Raises:
        InputError: it takes sequences or point clouds.
    """
    if not isinstance(inputs, Preparation):
        what = "sequences" if isinstance(inputs, Encoding) else "point clouds"
        raise InputError(
            f"the network takes {what}, and this needs one that takes images; {what} have modernet train, evaluate, "
            "predict, benchmark and report"
        )
    return inputs


def check_answers(task: str) -> None:
    """Check that a network answers a question about what it is given, by the task that it was trained for.

    Raises:
        InputError: it was only pre-trained.
    """
    if task in ("pretraining", "sequence_pretraining"):
        raise InputError(
            "the network was only pre-trained and has no answers; give a run that starts from it: modernet train "
            "--model RUN --data DATA"
        )


@dataclass(frozen=True)
class Description:
    """What `network.json` says of a trained network."""

    spec: NetworkSpec
    classes: tuple[str, ...]
    inputs: Inputs
    task: str

    @property
    def preparation(self) -> Preparation:
        """As `SavedNetwork.preparation`."""
        return preparation_of(self.inputs)


@dataclass(frozen=True)
class SavedNetwork:
    """A trained network, its classes, and what it is given."""

    network: nn.Module
    """In evaluation mode, on the CPU, in channels-last layout as it was trained."""
    spec: NetworkSpec
    classes: tuple[str, ...]
    inputs: Inputs
    """How images are prepared for it, how text, images or sound become its sequences, or what it sees of a cloud."""
    task: str = "classification"
    """Kind of the task that it was trained for."""

    @property
    def preparation(self) -> Preparation:
        """How images are prepared for it.

        Raises:
            InputError: it takes sequences or point clouds.
        """
        return preparation_of(self.inputs)


def save_network(
    folder: Path,
    network: nn.Module,
    spec: NetworkSpec,
    classes: Sequence[str],
    inputs: Inputs,
    task: str = "classification",
) -> None:
    """Write a trained network to a folder, with how what it is given is prepared."""
    description = {
        "task": task,
        "spec": asdict(spec),
        "classes": classes,
        **_described(inputs),
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
        network = _without_weights(build, about)
        network.load_state_dict(read_safetensors(folder / WEIGHTS_NAME), assign=True)
        return SavedNetwork(
            network.eval().to(memory_format=torch.channels_last),
            about.spec,
            about.classes,
            about.inputs,
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
            _inputs(description),
            description.get("task", "classification"),  # early versions knew no other
        )
    except (KeyError, TypeError) as error:
        raise damaged_network(folder, error) from error


def _without_weights(build: Callable[[str, NetworkSpec, int], nn.Module], about: Description) -> nn.Module:
    """Build a network whose weights will be replaced: without any, unless it has buffers that are in no file, such as
    Swin's indices and the positions of sequence models. What torch draws then is not drawn from the caller's generator.
    """
    if about.spec.kind != "sequence":  # S4 needs numbers to start from
        with torch.device("meta"):
            network = build(about.task, about.spec, len(about.classes))
        if {name for name, _ in network.named_buffers()} <= set(network.state_dict()):
            return network
    with torch.random.fork_rng(devices=[]):
        return build(about.task, about.spec, len(about.classes))


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


def _described(inputs: Inputs) -> dict[str, Any]:
    if isinstance(inputs, Encoding):
        return {"encoding": inputs.as_json()}
    return {"clouds": asdict(inputs)} if isinstance(inputs, PointInputs) else asdict(inputs)


def _inputs(description: Mapping[str, Any]) -> Inputs:
    if "clouds" in description:
        return PointInputs(**description["clouds"])
    if "encoding" in description:
        return Encoding.of_json(description["encoding"])
    size = description["image_size"]
    return Preparation(
        size if isinstance(size, int) else tuple(size),
        tuple(description["mean"]),
        tuple(description["std"]),
        description.get("crop", 1.0),  # early versions stored neither
        description.get("interpolation", "bilinear"),
    )
