"""Objects as annotation files list them -> `BoxTargets`, after each has been looked at once.

What is wrong with one object never stops a training: the object is dropped, or its mask, or what reaches out of the
image. All that is dropped is a `Problem` with its file and place, and known before the first image is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from modernet.data.images.decoding import UnreadableImage, upright_size
from modernet.data.images.files import ImageFiles
from modernet.data.images.rle import Polygons, Rle, RleMaps, area
from modernet.data.sources.listing import list_images
from modernet.data.sources.split_names import split_of
from modernet.data.targets import BoxTargets
from modernet.errors import InputError
from modernet.files.names import valid_text
from modernet.machine.cores import decoding_workers
from modernet.preparation import Size
from modernet.progress import say, track

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = Rle | Polygons

TOLERANCE = 0.01  # of a side of the image, by which rounding may put a box or a corner outside
_SMALLEST = 1.0  # pixels of a side of a box
_CHUNK = 256
_MOST_THREADS = 16
_SIDEWAYS = "that is its size before its EXIF rotation, and images are turned when they are read"

PROBLEMS = {
    "annotation file": "annotation files that cannot be read",
    "missing image": "images that are not there and left out, or listed twice",
    "shared image": "images left out of a split, since another one has them",
    "image size": "images of another size than their annotations say",
    "object": "objects dropped",
    "mask": "masks dropped, or parts of them; their objects keep their boxes",
    "box outside": "boxes cut off, which reach out of their image",
    "only crowds": "data sets in which every object is a crowd",
}
"""Kinds of problems, and what is done about each."""


class Problem(NamedTuple):
    """What is wrong with an object, an image or a file.

    Attributes:
        kind: of `PROBLEMS`.
        where: the file, and the place in it.
        reason: what is wrong.
    """

    kind: str
    where: str
    reason: str


@dataclass(frozen=True, eq=False)
class Objects:
    """m objects of n images as they are listed; nothing about them is known to be right but image and label.

    Attributes:
        image: int64 (m,), the image of each.
        labels: int64 (m,)
        boxes_xyxy: float64 (m, 4), in pixels, NaN where they are unknown.
        crowd: bool (m,), as in `BoxTargets`.
        areas: float64 (m,), in pixels², NaN or 0 where the file gives none.
        masks: m of them; None where an object has only a box.
        place: index -> file and place in it, for messages.
    """

    image: Ints
    labels: Ints
    boxes_xyxy: Floats
    crowd: NDArray[np.bool_]
    areas: Floats
    masks: Sequence[Mask | None]
    place: Callable[[int], str]


@dataclass(frozen=True, eq=False)
class BoxSplit:
    """Images of a split, with their objects."""

    images: ImageFiles
    targets: BoxTargets

    def take(self, positions: Ints) -> BoxSplit:
        """Return some of the images with their objects."""
        return BoxSplit(self.images.take(positions), self.targets.take(positions))


@dataclass(frozen=True, eq=False)
class BoxSurvey:
    """All that the annotation files of a data set hold.

    Attributes:
        path: its folder.
        classes: names of the classes.
        splits: split -> its images and objects.
        problems: everything that is wrong, in the order of files and objects.
        notes: how files were read where that is in doubt, a line each.
    """

    path: Path
    classes: tuple[str, ...]
    splits: Mapping[str, BoxSplit]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    def words(self) -> str:
        """Return how many objects, images and classes there are."""
        counts = np.concatenate([np.diff(split.targets.offsets) for split in self.splits.values()])
        labels = np.unique(np.concatenate([split.targets.labels.numpy() for split in self.splits.values()]))
        empty = int((counts == 0).sum())
        without = f" ({empty} without objects)" if empty else ""
        return f"objects: {counts.sum()}, classes: {len(labels)}, images: {len(counts)}{without}"

    def say(self) -> None:
        """Say what there is, how files were read, and what is wrong: a line for each kind, with the first case.

        Raises:
            InputError: a file cannot be read.
        """
        name = valid_text(self.path.resolve().name or str(self.path))
        of_kind = {kind: [problem for problem in self.problems if problem.kind == kind] for kind in PROBLEMS}
        if unreadable := of_kind.pop("annotation file"):
            more = f" (and {len(unreadable) - 1} more: modernet data check lists all)" if len(unreadable) > 1 else ""
            raise InputError(f"{unreadable[0].where}: {unreadable[0].reason}{more}")
        for line in (self.words(), *self.notes):
            say(f"{name}: {line}")
        for kind, found in of_kind.items():
            if found:
                more = "; modernet data check lists all" if len(found) > 1 else ""
                say(f"{name}: {PROBLEMS[kind]}: {len(found)}, first {found[0].where}: {found[0].reason}{more}")


def targets_of(
    objects: Objects, sizes: Ints, image_ids: Ints, category_ids: tuple[int, ...]
) -> tuple[BoxTargets, list[Problem]]:
    """Drop objects that cannot be learned from, cut off what reaches out of images, and sort them by image.

    Dropped are boxes without area or number, outside of their image, or narrower than a pixel, and copies: objects
    with the box and class of another, and with its mask or none.

    Args:
        sizes: int64 (n, 2), height and width of each upright image.
        image_ids: int64 (n,), as in `BoxTargets`.
        category_ids: as in `BoxTargets`.
    """
    boxes = objects.boxes_xyxy
    limits = sizes[objects.image][:, [1, 0, 1, 0]].astype(np.float64)
    with np.errstate(invalid="ignore"):
        cut = np.clip(boxes, 0, limits)
        reasons = {
            "its box is not four numbers": _some(~np.isfinite(boxes)),
            "its box is empty": _some(boxes[:, 2:] <= boxes[:, :2]),
            "its box is outside of its image": _some(cut[:, 2:] <= cut[:, :2]),
            "its box is less than a pixel wide or high": _some(cut[:, 2:] - cut[:, :2] < _SMALLEST),
        }
        beyond = _some(np.abs(cut - boxes) > TOLERANCE * limits)
    known = ~_some(limits <= 0)  # an image of unknown size is reported when it is decoded
    good = known & ~_some(np.stack([*reasons.values()], 1))
    copies = _copies(objects, good)
    problems = []
    for index in np.flatnonzero(known & (~good | copies | beyond)).tolist():
        h, w = sizes[objects.image[index]].tolist()
        box = " ".join(f"{value:g}" for value in boxes[index].tolist())
        why = next((reason for reason, found in reasons.items() if found[index]), None)
        if why is not None:
            problems.append(Problem("object", objects.place(index), f"{why} ({box} in {h} x {w})"))
        elif copies[index]:
            problems.append(Problem("object", objects.place(index), f"it is a copy of another ({box})"))
        else:
            reason = f"its box is {box}, its image has {h} rows and {w} columns"
            problems.append(Problem("box outside", objects.place(index), reason))
    kept = np.flatnonzero(good & ~copies)
    kept = kept[np.argsort(objects.image[kept], kind="stable")]

    masked = np.array([mask is not None for mask in objects.masks], dtype=bool)
    number = np.where(masked, np.cumsum(masked) - 1, -1)
    masks = RleMaps(mask for mask in objects.masks if mask is not None) if masked[kept].any() else None
    mask_of = number[kept] if masks is not None else np.full(len(kept), -1)
    areas = objects.areas[kept]
    missing = ~(areas > 0)
    areas[missing] = (cut[kept, 2:] - cut[kept, :2])[missing].prod(1)
    if masks is not None:
        for position in np.flatnonzero(missing & (mask_of >= 0)).tolist():
            areas[position] = area(masks.rle(int(mask_of[position])))
    counts = np.bincount(objects.image[kept], minlength=len(sizes))
    targets = BoxTargets(
        boxes_xyxy=torch.from_numpy(cut[kept].astype(np.float32)),
        labels=torch.from_numpy(objects.labels[kept]),
        crowd=torch.from_numpy(objects.crowd[kept]),
        offsets=np.concatenate(([0], np.cumsum(counts))),
        masks=masks,
        mask_of=mask_of,
        areas=areas,
        image_ids=image_ids,
        category_ids=category_ids,
    )
    return targets, problems


def _some(table: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether a row has at least one."""
    rows: NDArray[np.bool_] = np.logical_or.reduce(table, axis=1)
    return rows


def _copies(objects: Objects, good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find objects with the box and class of another of the same image, and with its mask or none."""
    keys = [objects.crowd, objects.labels, *objects.boxes_xyxy.T, objects.image]
    order = np.lexsort(keys)
    order = order[good[order]]
    new = np.zeros(len(order), dtype=bool)
    for key in keys:
        new[1:] |= key[order[1:]] != key[order[:-1]]
    group = np.cumsum(new)
    several = np.bincount(group)[group] > 1
    copies = np.zeros(len(good), dtype=bool)
    masks_of: dict[int, set[str]] = {}
    alike = zip(order[several].tolist(), group[several].tolist(), strict=True)
    for index, number in sorted(alike, key=lambda each: (objects.masks[each[0]] is None, each[0])):
        mask, masks = objects.masks[index], masks_of.setdefault(number, set())
        content = "" if mask is None else RleMaps([mask]).identity(0)
        copies[index] = bool(masks) if mask is None else content in masks
        masks.add(content)
    return copies


class ImageIndex:
    """The image files of a data set, found by the names that its annotations give them.

    Args:
        folder: of the data set. No file outside of it is found, whatever a name says.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, list_images(folder)
        parents = [f"{parent}/" if parent else "" for parent in self.files.parents]
        names = [name.decode(errors="surrogateescape") for name in self.files.names.to_pylist()]
        paths = [parents[number] + name for number, name in zip(self.files.parent_of.tolist(), names, strict=True)]
        self._paths = {path: index for index, path in enumerate(paths)}
        self._named: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            self._named.setdefault(name, []).append(index)

    def find(self, name: str, beside: str, split: str | None) -> int | None:
        """Return the index of an image; None if there is none, or if it is not clear which is meant.

        It is looked for where its name says, seen from the data set, from the annotation file and from `images/` in
        both, then without the first folders of its name, which may be those of another machine, and last by its name
        alone (`_meant`). Backslashes are slashes.

        Args:
            beside: the folder of the annotation file, relative to the data set; "" is the data set itself.
            split: of the annotation file; None if neither its name nor its folder says one.
        """
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts:
            return None
        for first in range(len(parts)):
            end = "/".join(parts[first:])
            for path in (end, f"{beside}/{end}", f"images/{end}", f"{beside}/images/{end}"):
                if path in self._paths:
                    return self._paths[path]
        return self._meant(self._named.get(parts[-1], []), split)

    def find_stem(self, stem: str, beside: str, split: str | None) -> int | None:
        """Return the index of the image of a name without its suffix: in a folder, or else by its name alone."""
        found = self._bare_paths.get(f"{beside}/{stem}" if beside else stem)
        return self._meant(self._stems.get(stem, []), split) if found is None else found

    def _meant(self, found: Sequence[int], split: str | None) -> int | None:
        """Choose among images of one name: the only one, or of several the only one in a folder of the split.

        None if that is not clear, and if the only one is in a folder of another split.
        """
        if split is not None and found:
            accepted = (split, None) if len(found) == 1 else (split,)
            found = [index for index in found if self._split(index) in accepted]
        return found[0] if len(found) == 1 else None

    @cached_property
    def _bare_paths(self) -> dict[str, int]:
        return {path.rpartition(".")[0]: index for path, index in reversed(self._paths.items())}

    @cached_property
    def _stems(self) -> dict[str, list[int]]:
        stems: dict[str, list[int]] = {}
        for name, indices in self._named.items():
            stems.setdefault(name.rpartition(".")[0], []).extend(indices)
        return stems

    def _split(self, index: int) -> str | None:
        parts = self.files.identity(index).split("/")[:-1]
        return next((split for part in reversed(parts) if (split := split_of(part))), None)

    def companions(self, indices: Ints) -> int:
        """Return how many images there are in the folders of some."""
        return int(np.isin(self.files.parent_of, np.unique(self.files.parent_of[indices])).sum())


def read_sizes(images: ImageFiles) -> dict[int, tuple[Size, bool]]:
    """Read height and width of upright images from their headers, and whether they are turned for that.

    Returns:
        By index; what cannot be read is left out, and reported when it is decoded.
    """

    def read(chunk: Sequence[int]) -> list[tuple[int, tuple[Size, bool]]]:
        found = []
        for index in chunk:
            try:
                found.append((index, upright_size(images.path(index))))
            except UnreadableImage:
                continue
        return found

    chunks = [range(len(images))[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    with ThreadPoolExecutor(decoding_workers(_MOST_THREADS)) as threads:
        try:
            task = f"reading the sizes of images in {images.folder}"
            return dict(pair for found in track(threads.map(read, chunks), task, len(chunks)) for pair in found)
        finally:
            threads.shutdown(cancel_futures=True)  # or Ctrl-C would wait for every chunk


def true_sizes(images: ImageFiles, stated: Ints) -> tuple[Ints, list[Problem]]:
    """Return height and width of each upright image, and the images for which annotations state another size.

    Args:
        stated: int64 (n, 2); 0 where an annotation file does not say. It stays for an image that cannot be read.
    """
    sizes = stated.copy()
    problems = []
    for index, (size, turned) in read_sizes(images).items():
        sizes[index] = size
        (h, w), stored = size, tuple(stated[index].tolist())
        if min(stored) > 0 and stored != (h, w):
            why = f"; {_SIDEWAYS}" if turned and stored == (w, h) else ""
            reason = f"it has {h} x {w} pixels, its annotations are for {stored[0]} x {stored[1]}{why}"
            problems.append(Problem("image size", images.name(index), reason))
    return sizes, problems
