"""Corrupted images in the layout of ImageNet-C, as they are published: not to be cropped again."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from modernet import progress
from modernet.data import ClassTargets, OpenedSplit
from modernet.data.fingerprint import split_fingerprint
from modernet.data.images.decoding import UnreadableImage
from modernet.data.images.finding import is_hidden
from modernet.data.reading import on_disk
from modernet.data.sources.image_folder import read_image_folder
from modernet.data.targets import class_labels
from modernet.errors import InputError
from modernet.evaluation import ClassMatch, match_classes
from modernet.preparation import Preparation
from modernet.studies.robustness.images import OpenedImages
from modernet.studies.robustness.request import Cell


def published_cells(folder: Path, cells: list[Cell]) -> list[tuple[Cell, Path]]:
    """Return the corrupted images of a folder in the layout of ImageNet-C, `CORRUPTION/SEVERITY/CLASS/image`, which may
    be below folders of the families, `noise/`, `blur/`, ...; and say which are missing.

    Args:
        cells: those wanted; of others, none is returned.

    Returns:
        The cells of the folder in the order of the papers, as those of suites `published_c`, ..., and their folders.

    Raises:
        InputError: there is none of them.
    """
    above = [folder, *sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))]
    found, missing = [], []
    for cell in cells:
        places = [each / cell.corruption / str(cell.severity) for each in above]
        place = next((each for each in places if each.is_dir()), None)
        if place is None:
            missing.append(cell)
        else:
            found.append((cell._replace(suite=f"published_{cell.suite}"), place))
    if not found:
        first = cells[0]
        raise InputError(
            f"{folder} has none of the {len(cells)} wanted folders of corrupted images, such as "
            f"{first.corruption}/{first.severity}/CLASS; give one in the layout of ImageNet-C"
        )
    present = {cell.suite.removeprefix("published_") for cell, _ in found}
    missing = [cell for cell in missing if cell.suite in present]  # ImageNet-C has no folders of ImageNet-C-bar
    if missing:
        progress.say(f"{folder} does not have {_severities(missing)}: not tested")
    return found


def open_published(
    place: Path,
    classes: tuple[str, ...],
    preparation: Preparation,
    clean: OpenedSplit,
    class_map: Path | None = None,
) -> OpenedImages:
    """Open the images of one corruption and severity as they are: at the size in which they are stored.

    Args:
        place: their folder.
        classes: of the network.
        preparation: for the network.
        clean: the same images without corruption.
        class_map: as `match_classes` takes it.

    Raises:
        InputError: there are none, one has a class that the network does not know, or their classes are not those of
            the clean images.
    """
    source = read_image_folder(place, to_learn=False)
    (examples,) = source.splits().values()
    used = np.unique(examples.labels)
    names = tuple(source.classes[label] for label in used)
    numbers = np.full(len(source.classes), -1)
    numbers[used] = _match(classes, names, str(place.parent.parent), class_map).numbers
    labels = torch.from_numpy(numbers[examples.labels])
    if not torch.equal(labels.sort().values, class_labels(clean.split.targets).sort().values):
        raise InputError(
            f"{place} has {len(labels)} images, which are not the {len(clean.split)} of {clean.name} with a "
            "corruption; give as --data the images that were corrupted"
        )
    split = on_disk(examples)
    size = examples.images.size(int(examples.indices[0]))
    opened = OpenedSplit(str(place), source.classes, split, replace(preparation, image_size=size, crop=1.0))
    numbered = replace(opened, split=replace(split, targets=ClassTargets(labels)))
    return OpenedImages(numbered, split_fingerprint(opened))


def broken(image: UnreadableImage) -> InputError:
    """Return the error for an image that cannot be read: none is skipped, as each has one without corruption."""
    return InputError(f"{image}; replace it by the published one, or leave out its corruption by --corruptions")


@functools.cache
def _match(known: tuple[str, ...], found: tuple[str, ...], name: str, class_map: Path | None) -> ClassMatch:
    """Match the classes of a published folder, and say so once."""
    return match_classes(known, found, name, class_map)


def _severities(cells: Sequence[Cell]) -> str:
    """Return corruptions with their severities: `fog 1, 2, frost 3`."""
    by_name: dict[str, list[int]] = {}
    for cell in cells:
        by_name.setdefault(cell.corruption, []).append(cell.severity)
    return ", ".join(f"{name} {', '.join(map(str, found))}" for name, found in by_name.items())
