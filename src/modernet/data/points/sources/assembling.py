"""What a reader found -> a data set with three splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modernet.data.example_splits import three_parts
from modernet.data.points.dataset import PointDataset, PointSplit
from modernet.data.points.inputs import PointInputs
from modernet.data.points.sources.clouds import Cloud, UnreadableCloud
from modernet.data.ragged import Growing, Ragged
from modernet.data.skipping import Skipped
from modernet.data.sources.assemble import as_indices, classes_of
from modernet.data.splits import Fold
from modernet.errors import InputError
from modernet.progress import track

SCENE = "scene"
"""The category of what has none, where points have classes."""
_UNIT_LENGTH = 0.02  # by which a normal may be longer or shorter than 1, as files round it
_ENOUGH = 100_000  # points whose normals are measured


class Item(NamedTuple):
    """A cloud that can be read."""

    name: str
    """In messages: a file, or a file and its row."""
    label: str
    """Name of its class, or of its category where its points have classes."""
    identity: str
    """What decides its split."""
    file: int
    """Number of its file, in the order of the reader."""
    row: int = 0
    """Of the file."""


@dataclass(frozen=True)
class PointSource:
    """Clouds as they are stored.

    Attributes:
        name: short, of the data set.
        path: of the file or the folder.
        given: those of each split that there is.
        load: reads one, or raises UnreadableCloud.
        provenance: for the record; without the path.
        labels: names of the classes, or of the categories where points have classes; None are those of training.
        parts: where points have classes, their names; None are the numbers that occur.
        parts_of: those of each category; None are those that occur.
        normals: whether the three numbers after the coordinates are a normal; None: if all have the length 1.
        scaled: whether the units of clouds differ.
        centred: as in `PointInputs`.
        up: the axis that points up.
    """

    name: str
    path: Path
    given: Mapping[str, Sequence[Item]]
    load: Callable[[Item], Cloud]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None
    parts: tuple[str, ...] | None = None
    parts_of: Mapping[str, tuple[int, ...]] | None = None
    normals: bool | None = None
    scaled: bool = True
    centred: bool = True
    up: int = 2


@dataclass(frozen=True)
class Options:
    """How a source is opened.

    Attributes:
        points: that a network is shown.
        fold: what is the test split, where none is given; None: about a tenth.
        xyz: whether anything but the coordinates is left out.
        scaled: instead of the source's, if it is given.
    """

    points: int
    fold: Fold | None = None
    xyz: bool = False
    scaled: bool | None = None


def dataset_of(source: PointSource, options: Options, skipped: Skipped) -> PointDataset:
    """Read the clouds of a source, one at a time.

    Raises:
        InputError: a cloud cannot be read, a split has none, there are fewer than two classes, or a class is in too few
            clouds.
    """
    train, validation, test, phrase = three_parts(source.given, source.path, "clouds", options.fold)
    labels = source.labels or classes_of([item.label for item in train])
    reading = _Reading(source, options, skipped)
    first, second, third = (
        reading.split(items, split, labels)
        for split, items in (("train", train), ("validation", validation), ("test", test))
    )
    skipped.report(source.name)
    if source.labels is None:
        _check_learned(source, first, labels)
    classes = labels
    parts: dict[str, tuple[int, ...]] = {}
    if first.point_labels is not None:
        classes, parts = _parts(source, (first, second, third), labels)
    if len(classes) < 2:
        of = " of points" if parts else ""
        raise InputError(f"{source.path} has one class{of}, {classes[0]!r}; a network needs at least two to tell apart")
    clouds = first.clouds
    scaled = source.scaled if options.scaled is None else options.scaled
    inputs = PointInputs(
        options.points,
        clouds.values.shape[1],
        scaled,
        categories=len(labels) if len(parts) > 1 else 0,
        centred=source.centred,
        unit=1.0 if scaled or not source.centred else _median_radius(clouds),
        normals=clouds.values.shape[1] >= 6
        and (_have_unit_length(clouds) if source.normals is None else source.normals),
    )
    return PointDataset(
        source.name,
        first,
        second,
        third,
        classes,
        inputs,
        {**source.provenance, "splits": phrase, **({} if scaled == source.scaled else {"scaled": scaled})},
        parts,
        source.up,
        skipped.names,
    )


class _Reading:
    """Reads splits whose clouds must be alike."""

    def __init__(self, source: PointSource, options: Options, skipped: Skipped) -> None:
        self._source, self._skipped, self._xyz = source, skipped, options.xyz
        self._like: tuple[str, Cloud] | None = None  # the first cloud, and its name

    def split(self, items: Sequence[Item], split: str, labels: tuple[str, ...]) -> PointSplit:
        points, of_points = Growing(), Growing()
        read: list[Item] = []
        for item in track(items, f"reading {split} clouds", len(items)):
            try:
                cloud = self._checked(item, self._source.load(item))
            except UnreadableCloud as error:
                self._skipped.add(item.name, str(error))
                continue
            points.append(cloud.points)
            if cloud.labels is not None:
                of_points.append(cloud.labels)
            read.append(item)
        if not read:
            raise InputError(f"there is no {split} cloud to read in {self._source.path}; add some")
        assert self._like is not None
        return PointSplit(
            points.done(),
            as_indices([item.label for item in read], labels, lambda position: read[position].name),
            None if self._like[1].labels is None else of_points.done().values,
            tuple(item.name for item in read),
        )

    def _checked(self, item: Item, cloud: Cloud) -> Cloud:
        """Return a cloud once it is known to have what the first has."""
        if self._xyz:
            cloud = Cloud(np.ascontiguousarray(cloud.points[:, :3]), cloud.labels)
        if self._like is None:
            self._like = item.name, cloud
        name, like = self._like
        channels, first = cloud.points.shape[1], like.points.shape[1]
        if channels != first:
            raise UnreadableCloud(
                f"has {channels} numbers a point, and {name} has {first} (with :xyz after the name of the data, only "
                "coordinates are read)"
            )
        if (cloud.labels is None) != (like.labels is None):
            has, other = ("no classes", "has") if cloud.labels is None else ("classes", "has none")
            raise UnreadableCloud(f"has {has} of its points, and {name} {other}")
        if cloud.labels is not None and self._source.parts and cloud.labels.max() >= len(self._source.parts):
            raise UnreadableCloud(
                f"has the label {cloud.labels.max()}, and there are {len(self._source.parts)} classes"
            )
        return cloud


def _check_learned(source: PointSource, train: PointSplit, labels: tuple[str, ...]) -> None:
    """Check that no class has lost all of its clouds for training to those that are skipped."""
    lost = sorted(set(range(len(labels))) - set(train.labels.tolist()))
    if lost:
        raise InputError(
            f"there is no train cloud of the class {labels[lost[0]]!r} to read in {source.path}; add some, or remove "
            "the class"
        )


def _parts(
    source: PointSource, splits: Sequence[PointSplit], labels: tuple[str, ...]
) -> tuple[tuple[str, ...], dict[str, tuple[int, ...]]]:
    """Return the classes of points, and those that each category can have."""
    found: list[set[int]] = [set() for _ in labels]
    for split in splits:
        assert split.point_labels is not None
        offsets = split.clouds.offsets
        for label, start, end in zip(split.labels.tolist(), offsets[:-1], offsets[1:], strict=True):
            found[label].update(np.unique(split.point_labels[start:end]).tolist())
    classes = source.parts or tuple(str(number) for number in range(max(map(max, filter(None, found))) + 1))
    return classes, dict(source.parts_of or {name: tuple(sorted(of)) for name, of in zip(labels, found, strict=True)})


def _median_radius(clouds: Ragged) -> float:
    """Return the median of the largest distances from the middle, to three digits."""
    radii = []
    for index in range(len(clouds)):
        xyz = clouds[index][:, :3]
        radii.append(np.linalg.norm(xyz - xyz.mean(0), axis=1).max())
    return float(f"{np.median(radii):.3g}") or 1.0  # clouds of one point each


def _have_unit_length(clouds: Ragged) -> bool:
    """Return whether the three numbers after the coordinates are a direction everywhere."""
    some: NDArray[np.float32] = clouds.values[:_ENOUGH, 3:6]
    return bool((np.abs(np.linalg.norm(some, axis=1) - 1) < _UNIT_LENGTH).all())
