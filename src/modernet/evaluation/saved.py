"""Evaluate a trained classifier on a data set."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modernet.data import (
    IGNORE,
    BoxTargets,
    ClassTargets,
    ImageDataset,
    InMemory,
    Loader,
    OnDisk,
    OpenedSplit,
    SemanticTargets,
    Split,
    Targets,
    make_loader,
)
from modernet.data.images.label_files import LabelFiles
from modernet.errors import InputError
from modernet.evaluation.accuracy import Accuracy, evaluate_classifier
from modernet.evaluation.class_matching import match_classes
from modernet.weights import SavedNetwork


def evaluate_saved(
    saved: SavedNetwork,
    dataset: ImageDataset,
    split: Literal["train", "validation", "test"] = "test",
    *,
    batch_size: int = 128,
    device: torch.device | None = None,
) -> Accuracy:
    """Measure the accuracy of a trained network on a split of a data set, with images prepared as in its test.

    Classes are matched as `match_classes` does; the split need not have all that the network knows.

    Args:
        dataset: opened at the network's `image_size`.
        device: where to run it; None is the CPU.

    Raises:
        InputError: an image has a class that the network does not know.
        NonFiniteScores: a logit is NaN or infinite.
    """
    device = device or torch.device("cpu")
    opened = OpenedSplit(dataset.name, dataset.classes, getattr(dataset, split), dataset.preparation)
    loader = saved_loader(saved, opened, batch_size=batch_size, device=device)
    return evaluate_classifier(saved.network.to(device), loader)


def saved_loader(
    saved: SavedNetwork,
    opened: OpenedSplit,
    *,
    batch_size: int,
    device: torch.device,
    class_map: Path | None = None,
) -> Loader:
    """Return a loader of a split with its images prepared as in the test of a trained network, and its classes numbered
    as the network's, which `match_classes` finds.

    Raises:
        InputError: an image has a class that the network does not know.
    """
    return make_loader(
        replace(opened, classes=saved.classes),
        numbered_split(opened, saved.classes, class_map),
        batch_size=batch_size,
        device=device,
        augmentation=None,
        preparation=saved.preparation,
    )


def numbered_split(
    opened: OpenedSplit, known: tuple[str, ...], class_map: Path | None = None, *, quiet: bool = False
) -> Split:
    """Return the split with the numbers that its classes have in `known`.

    The classes of whole images are those that `match_classes` finds; those of pixels and boxes have the same names.

    Args:
        class_map: of whole images, as `match_classes` takes it.
        quiet: whether nothing is said.

    Raises:
        InputError: an image has a class that is not known, or label maps list one.
    """
    split, targets = opened.split, opened.split.targets
    if opened.classes == known and class_map is None:
        return split
    assert isinstance(split, InMemory | OnDisk)
    if isinstance(targets, ClassTargets):
        shown = np.unique(targets.labels.numpy())
        names = tuple(opened.classes[label] for label in shown)
        match = match_classes(known, names, opened.name, class_map, quiet=quiet)
        numbers = np.full(len(opened.classes), -1)
        numbers[shown] = match.numbers
        return replace(split, targets=ClassTargets(torch.from_numpy(numbers)[targets.labels]))
    number = {name: index for index, name in enumerate(known)}
    strata = targets.labels.numpy() if isinstance(targets, BoxTargets) else targets.strata()
    if strata is None:
        used, has, remedy = range(len(opened.classes)), "lists", "call it void to ignore its pixels"
    else:
        used, has, remedy = np.unique(strata).tolist(), "has images of", "leave those images out"
    for label in used:
        if opened.classes[label] not in number:
            raise InputError(
                f"{opened.name} {has} the class {opened.classes[label]!r}, and the network does not know it, "
                f"only {len(known)} others, such as {known[0]!r}; {remedy}"
            )
    numbers = np.array([number.get(name, -1) for name in opened.classes])
    return replace(split, targets=_renumbered(opened.name, targets, numbers, len(known)))


def _renumbered(name: str, targets: Targets, numbers: NDArray[np.int64], n: int) -> Targets:
    """Return targets whose class i has become `numbers[i]` of n."""
    if isinstance(targets, BoxTargets):
        ids = dict(zip(numbers.tolist(), targets.category_ids, strict=True))
        unused = itertools.count(max(targets.category_ids, default=0) + 1)  # of classes that these images do not have
        renumbered = tuple(ids[number] if number in ids else next(unused) for number in range(n))
        return replace(targets, labels=torch.from_numpy(numbers)[targets.labels], category_ids=renumbered)
    if isinstance(targets, SemanticTargets) and isinstance(targets.maps, Tensor):
        table = torch.full((IGNORE + 1,), IGNORE)
        table[: len(numbers)] = torch.from_numpy(numbers)
        return replace(targets, maps=table[targets.maps.long()].to(targets.maps.dtype))
    if isinstance(targets, SemanticTargets) and isinstance(targets.maps, LabelFiles):
        return replace(targets, maps=targets.maps.renumbered(numbers.tolist()))
    raise InputError(f"{name} has the network's classes in another order; list them in that of the network")
