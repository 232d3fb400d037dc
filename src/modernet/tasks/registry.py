"""The tasks by name, and what the command line asks of each."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, cast

import torch
from torch import nn

from modernet.data import OpenedSplit
from modernet.data.transforms.corruptions import Corrupt
from modernet.errors import InputError, unknown_name
from modernet.evaluation.segmenting import WHOLE, Inference
from modernet.recipes import Recipe
from modernet.records import Metric, Record
from modernet.weights import NetworkSpec, SavedNetwork
from modernet.weights import load_network as load_any_network

_MODULES = {
    "classification": "modernet.tasks.classification",
    "detection": "modernet.tasks.detection",
    "point_segmentation": "modernet.tasks.point_segmentation",
    "points": "modernet.tasks.points",
    "pretraining": "modernet.tasks.pretraining",
    "segmentation": "modernet.tasks.segmentation",
    "sequence_pretraining": "modernet.tasks.sequence_pretraining",
    "sequences": "modernet.tasks.sequences",
}
"""Kind of a task -> its module, imported when it is asked for. A new task is one more line."""


@dataclass(frozen=True)
class TrainRequest:
    """What `modernet train` was asked to train."""

    recipe: Recipe
    model: str
    """A network of the zoo; `model.tag` to start from published weights; or the folder of a finished run, to train its
    network on."""
    model_fields: Mapping[str, Any]
    """Fields of the network's config to change."""
    weights: Path | None
    """A file of weights to start from, or the folder of a finished run."""
    data: str
    seed: int
    skip_unreadable: bool
    keep_images: bool = False
    """Keep opened images for the next such request of this process, which a study makes; see `forget_images`."""


@dataclass(frozen=True)
class EvaluateRequest:
    """What `modernet evaluate` was asked to measure."""

    run: Path | None
    """The folder of the trained network; None for published weights."""
    data: str | OpenedSplit
    """As `open_split` takes it; or images that are opened, with the targets of the task, whatever `split` and
    `skip_unreadable` are."""
    split: Literal["train", "validation", "test"]
    batch_size: int
    device: torch.device
    skip_unreadable: bool
    inference: Inference = WHOLE
    """For segmentation: windows, scales and flips."""
    save_json: Path | None = None
    """For detection: folder for what was found, as COCO result files."""
    class_map: Path | None = None
    """For classification: a file with the class of the network that classes of the data are."""
    real: bool = False
    """For classification: also measure the accuracy by the ReaL labels of ImageNet's validation images."""
    corrupt: Corrupt | None = None
    """For detection and segmentation: what is done to every image, as `CorruptedImages` does it."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; give 1 or more")


@dataclass(frozen=True)
class Measured:
    """What `modernet evaluate` measured.

    Attributes:
        data: what its record says of the images: their `name`, `n`, `fingerprint`, and the names of those that are
            `unreadable`.
        metrics: those of the task, with `n`; of some also the ends of their 95 % interval, `top1_low` and `top1_high`;
            and the loss where the task has one.
        per_class: metrics of each class that occurs.
        details: as in a record.
    """

    data: Mapping[str, Any]
    metrics: dict[str, float]
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictRequest:
    """What `modernet predict` was asked to predict."""

    top: int = 5
    """For classification and segmentation: most classes of an image to return, at least 1."""
    min_score: float = 0.5
    """For detection: least score of an object that is printed or drawn."""
    out: Path | None = None
    """Folder for what can be drawn."""
    skip_unreadable: bool = False
    """Skip images that cannot be read, instead of stopping."""

    def __post_init__(self) -> None:
        if self.top < 1:
            raise InputError(f"top is {self.top}; give 1 or more")
        if not 0 <= self.min_score <= 1:
            raise InputError(f"min_score is {self.min_score}; give 0 to 1")


def check_classifying(request: PredictRequest) -> None:
    """Check that a request has nothing that only other tasks than classification know.

    Raises:
        InputError: it has.
    """
    if request.min_score != PredictRequest.min_score:
        raise InputError("--min-score is for detectors; leave it out, or use --top")
    if request.out is not None:
        raise InputError("a classifier draws nothing; leave out --out; --json > FILE writes its predictions")


class Prediction(Protocol):
    """The prediction for one image or sequence: a dataclass of JSON-able fields."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """Path of the file, perhaps with a line of it."""

    def lines(self) -> list[str]:
        """Return the prediction as text, a line each."""


class TaskModule(Protocol):
    """The functions of a task's module."""

    metrics: tuple[Metric, ...]
    class_metric: Metric
    """The first that is measured of each class."""

    def prepare(self, request: TrainRequest) -> Callable[..., Record]:
        """Open network, weights and data. The result trains; its arguments are `RunOptions`, and perhaps `study`, the
        settings that say where in a study the run belongs.
        """

    def build_network(self, spec: NetworkSpec, num_classes: int) -> nn.Module:
        """Build the network of a saved run on torch's default device."""

    def check(self, request: EvaluateRequest | PredictRequest) -> None:
        """Check what can be checked before a network is loaded and an image read; `evaluate` and `predict` do it too.

        Raises:
            InputError: the request has something that the task does not know, or a file that cannot be read.
        """

    def evaluate(self, saved: SavedNetwork, request: EvaluateRequest) -> Measured:
        """Measure a trained network on a data set."""

    def find(self, given: Sequence[str]) -> Sequence[Any]:
        """Find what `predict` takes, given files, folders and shell patterns: the paths of images; of sequences,
        `Example`s.

        Raises:
            InputError: nothing is there.
        """

    def predict(self, saved: SavedNetwork, found: Sequence[Any], request: PredictRequest) -> Iterator[Prediction]:
        """Predict images or sequences with a trained network one after the other, and write what can be drawn to the
        folder `out`.

        Args:
            found: by `find`.

        Raises:
            InputError: one cannot be read, or the request has something that the task does not know.
        """


def get_task(kind: str) -> TaskModule:
    """Return the module of a task.

    Raises:
        InputError: there is no such task; the message names the closest ones.
    """
    if kind not in _MODULES:
        raise unknown_name("task", kind, _MODULES)
    return cast(TaskModule, importlib.import_module(_MODULES[kind]))


def load_network(folder: Path) -> SavedNetwork:
    """Load the network of a finished run, whatever its task.

    Raises:
        InputError: the folder contains no network, or its files are damaged or do not belong together.
    """
    return load_any_network(folder, lambda task, spec, classes: get_task(task).build_network(spec, classes))
