"""Optimize a named network for images of a data set, and keep it in a folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from modernet import progress
from modernet.data import ClassTargets, OpenedSplit, open_split
from modernet.data.images.decoding import skippable
from modernet.data.reading import decode, examples_of, on_disk
from modernet.data.sources.examples import Examples
from modernet.data.sources.read import read_source
from modernet.data.splits import one_split
from modernet.deploy import OptimizedNetwork, optimize
from modernet.deploy.running.division import FEWEST
from modernet.deploy.running.optimized import Allowed
from modernet.errors import InputError
from modernet.evaluation import numbered_split
from modernet.files.atomic import check_free
from modernet.preparation import ImageSize
from modernet.tasks.named_network import NamedNetwork
from modernet.weights import SavedNetwork
from modernet.weights.saved_network import check_answers


@dataclass(frozen=True)
class OptimizeRequest:
    """What `modernet optimize` was asked for."""

    data: str
    """As `open_split` takes it."""
    precision: Allowed = "auto"
    batch_size: int = 8
    image_size: ImageSize | None = None
    """None for that of the network's preparation."""
    images: int = 256
    """Most images to calibrate and judge by."""
    seconds: float = 60.0
    skip_unreadable: bool = False
    compile: bool = True
    """Whether `torch.compile` may be tried."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "images"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")


def optimize_named(network: NamedNetwork, request: OptimizeRequest, folder: Path) -> OptimizedNetwork:
    """Optimize a classifier for its validation images, and write it to a new folder with the network beside it.

    Raises:
        InputError: it is no classifier, the images cannot be read, or the folder is taken; and as `optimize` and
            `OptimizedNetwork.save`.
    """
    saved = _classifier(network, request)
    check_free(folder)
    fast = _optimize(network, saved, request, torch.device("cpu"))
    fast.save(folder, network=saved, marks=network.marks())
    return fast


def fastest_way(network: NamedNetwork, request: OptimizeRequest, device: torch.device) -> OptimizedNetwork:
    """Optimize a classifier for its validation images on a device, to which the network is moved.

    Raises:
        InputError: it is no classifier, or the images cannot be read; and as `optimize`.
    """
    return _optimize(network, _classifier(network, request), request, device)


def _classifier(network: NamedNetwork, request: OptimizeRequest) -> SavedNetwork:
    """Return the network for images of the size that is asked for."""
    saved = network.saved
    check_answers(saved.task)
    if saved.task != "classification":
        raise InputError(f"the network is of the task {saved.task}; modernet optimize takes classifiers")
    if request.image_size is None:
        return saved
    return replace(saved, inputs=saved.preparation.with_size(request.image_size))


def _optimize(
    network: NamedNetwork, saved: SavedNetwork, request: OptimizeRequest, device: torch.device
) -> OptimizedNetwork:
    images, labels = choosing_images(network, saved, request)
    precision = request.precision
    if precision == "auto" and len(images) < FEWEST["classes"]:
        progress.say(f"{len(images)} images are too few to judge reduced precision by: only exact ways are tried")
        precision = "exact"
    fast = optimize(
        saved.network.to(device), images.to(device), labels=None if precision == "exact" else labels,
        precision=precision, batch=min(request.batch_size, len(images)), seconds=request.seconds,
        compile=request.compile,
    )  # fmt: skip
    assert isinstance(fast, OptimizedNetwork), "a classifier is no detector"
    return fast


def choosing_images(
    network: NamedNetwork, saved: SavedNetwork, request: OptimizeRequest
) -> tuple[Tensor, Tensor | None]:
    """Return images that a way to run a network may be chosen by, prepared for it, and their classes, in random order.

    They are of the validation split, as `one_split` says, evenly from the whole of it. The classes are None if the
    network does not know all of them.

    Raises:
        InputError: as `one_split`; or an image cannot be read.
    """
    name, classes, examples = _validation_examples(network, saved, request.data)
    chosen = np.linspace(0, len(examples) - 1, min(request.images, len(examples))).round().astype(np.int64)
    examples = examples.take(np.random.default_rng(0).permutation(chosen))
    labels = _labels(OpenedSplit(name, classes, on_disk(examples), saved.preparation), saved.classes)
    preparation = saved.preparation
    split, failures = decode(examples, preparation.size, "reading images", preparation.interpolation, preparation.crop)
    for failure in failures.values():
        if not request.skip_unreadable:
            raise skippable(failure)
        progress.say(f"skipped: {failure}")
    readable = [position for position in range(len(split)) if position not in failures]
    if not readable:
        raise InputError(f"no image of {name} can be read; give other --data")
    return preparation.normalise(split.images[readable]), None if labels is None else labels[readable]


def _validation_examples(
    network: NamedNetwork, saved: SavedNetwork, data: str
) -> tuple[str, tuple[str, ...], Examples]:
    """Return the name of the data, their classes and the validation images."""
    if data == "digit_scenes":
        opened = open_split(data, "validation", saved.preparation, marks=network.marks())
        return opened.name, opened.classes, examples_of(opened.split)
    name, source = read_source(data, targets="classes", to_learn=False)
    examples, words = one_split(source, "validation", network.marks())
    if words:
        progress.say(f"{name}: chosen by {words}")
    return name, source.classes, examples


def _labels(opened: OpenedSplit, known: tuple[str, ...]) -> Tensor | None:
    """Return the classes of images by the network's numbers; None if it does not know all of them, which is said."""
    try:
        targets = numbered_split(opened, known).targets
    except InputError as error:
        unknown, *_ = str(error).split(";")
        progress.say(f"{unknown}: reduced precision is judged by equal answers, not by accuracy")
        return None
    assert isinstance(targets, ClassTargets)
    return targets.labels
