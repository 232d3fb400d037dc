"""open_dataset and its kin: a name, a folder or an address -> an opened data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from modernet.data import measuring, reading
from modernet.data.dataset import ImageDataset, InMemory, OnDisk, OpenedSplit
from modernet.data.digit_scenes import open_scenes
from modernet.data.images.decoding import skippable
from modernet.data.images.marks import NO_MARKS, Marks
from modernet.data.sources.examples import Examples, Source
from modernet.data.sources.read import read_source
from modernet.data.splits import SplitName, one_split, three_splits
from modernet.data.targets import TargetKind
from modernet.errors import InputError
from modernet.preparation import ImageSize, Interpolation, Preparation, Size, as_size
from modernet.progress import say

_MOST_LISTED = 20  # skipped images that are printed by name; the data set lists them all


def open_dataset(
    spec: str,
    *,
    targets: TargetKind = "classes",
    image_size: ImageSize | None = None,
    skip_unreadable: bool = False,
    memory_limit_mb: int = 2048,
    whole_images: bool = False,
    interpolation: Interpolation = "bilinear",
    download: bool = True,
) -> ImageDataset:
    """Open images with their targets.

    A folder is recognised by what it holds: an image folder (`class/image`, or `train/`, `val/`, `test/` above it;
    ImageNet's own layout is one), ImageNet's validation images as they are released (`ilsvrc.py`), image files with a
    table of labels (`metadata.jsonl`, `metadata.csv`, `labels.csv`), tar shards in WebDataset's layout (`train-*.tar`,
    `train/*.tar`, ...), parquet in the Hub's image layouts, the original files of CIFAR-10 or of MNIST and its family.
    `three_splits` says where train, validation and test come from; an image keeps its place when others are added.

    Shards that are not on this machine are fetched one by one, each when its first image is needed, and kept in the
    cache folder (`$MODERNET_CACHE_GB` of them at most, by default 200). So training starts at once; sizes and colours
    are those of the first shards.

    Args:
        spec: `"digit_scenes"` (embedded), `"cifar10"`, `"fashion_mnist"`, `"mnist"` (fetched into `$MODERNET_CACHE`,
            by default `~/.cache/modernet`); the path of a folder (one of the same name is `"./mnist"`); tar shards,
            `"path/{000..127}.tar"`; `"https://host/folder"`, with the `index.json` of `modernet data pack` in it, or
            `"https://host/folder/train-{000..127}.tar"`; `"hf:org/name"`, a data set of the Hugging Face Hub with
            images in parquet (`"hf:org/name/config"`, `"hf:org/name@revision"`).
        targets: what to learn of each image: `"classes"`, `"semantic"` (a class for each pixel), `"boxes"` (boxes with
            a class each, and masks) or `"none"`. `"digit_scenes"` has all of them. Folders of label maps have
            semantic ones (`read_label_folder`); COCO's json files, Pascal VOC's xml and YOLO's text files have boxes
            (`read_boxes`; the path may be that of a json file or a data.yaml). Anything else has classes and none.
            With `"none"` a folder of images needs no class folders.
        image_size: side of the square images, or their height and width; None is what suits the images: their own
            side where all are squares of one size up to 256, otherwise 224, or less where most are smaller
            (`measuring.usual_size`). Other images are scaled until they cover this size, and cut to their centre.
        skip_unreadable: leave out and list what cannot be read, instead of an error; images on disk are all checked
            now, and shards all fetched for that.
        memory_limit_mb: data sets that need no more than this, decoded, are kept in memory; larger ones are read as
            they are shown.
        whole_images: whether views will be cut out of the images as they are (random crops, a test's middle): then
            only images that have this size already are kept in memory.
        interpolation: how images that are kept in memory are scaled; those on disk are scaled when they are shown.
        download: whether a name may be fetched.

    Raises:
        InputError: nothing is there, it is of no known layout, it does not have such targets, or it cannot be used;
            the message says why.
    """
    if image_size is not None and min(as_size(image_size)) < 2:  # torch 2.15 cannot scale an image to one pixel
        raise InputError(
            f"image_size is {image_size}; give the side in pixels, at least 2, such as 224, or height and width"
        )
    if spec == "digit_scenes":
        scenes = open_scenes(targets, None if image_size is None else as_size(image_size))
        side = scenes.size[0]
        preparation = Preparation(side, *measuring.measure(scenes.train, scenes.size))
        splits = scenes.train, scenes.validation, scenes.test
        return ImageDataset(
            spec,
            scenes.classes,
            preparation,
            *splits,
            splits="generated; no source digit is in two splits",
            mark=_none_to_mark,
        )
    name, source = read_source(spec, targets=targets, memory_limit_mb=memory_limit_mb, download=download)
    whole_images = whole_images or targets == "semantic"  # evaluated whole, at their own size
    return _open_source(name, source, image_size, skip_unreadable, memory_limit_mb, whole_images, interpolation)


def _open_source(
    name: str,
    source: Source,
    image_size: ImageSize | None,
    skip_unreadable: bool,
    memory_limit_mb: int,
    whole_images: bool,
    interpolation: Interpolation,
) -> ImageDataset:
    """Split, decode what fits in memory, and measure."""
    given = three_splits(source)
    examples = {"train": given.train, "validation": given.validation, "test": given.test}
    if image_size is None:
        image_size = measuring.usual_size(given.train)
    size = as_size(image_size)
    total = sum(len(split) for split in examples.values())
    in_memory = _fits(total, size, memory_limit_mb) and (not whole_images or measuring.have_size(given.train, size))
    in_memory = in_memory and not given.train.targets.fitted  # mapped each time that they are shown
    splits, unreadable = _read_all(name, source, examples, size, interpolation, in_memory, skip_unreadable)
    if unreadable:
        splits["train"].targets.check(source.classes, f"what can be read of {source.path}")
    mean, std = measuring.measure(splits["train"], size, interpolation)
    preparation = Preparation(image_size, mean, std, interpolation=interpolation)
    return ImageDataset(
        name,
        source.classes,
        preparation,
        **splits,
        unreadable=tuple(unreadable),
        splits=given.words,
        mark=partial(Marks.of, given.train.images, given.train.indices),
    )


def open_prepared(spec: str, preparation: Preparation, *, skip_unreadable: bool = False) -> ImageDataset:
    """Open images with classes for a network that is not trained on them: the three splits of `open_dataset`.

    Images are read when they are shown, so that opening takes no longer for many; the data set does not depend on how
    they are prepared.

    Args:
        spec, skip_unreadable: as in `open_dataset`.
        preparation: how images are prepared for the network, which becomes that of the data set.

    Raises:
        InputError: as `open_dataset`.
    """
    if spec == "digit_scenes":
        return replace(open_dataset(spec, image_size=preparation.image_size), preparation=preparation)
    name, source = read_source(spec)
    given = three_splits(source)
    examples = {"train": given.train, "validation": given.validation, "test": given.test}
    size, interpolation = preparation.size, preparation.interpolation
    splits, unreadable = _read_all(name, source, examples, size, interpolation, False, skip_unreadable)
    if unreadable:
        splits["train"].targets.check(source.classes, f"what can be read of {source.path}")
    return ImageDataset(
        name, source.classes, preparation, **splits, unreadable=tuple(unreadable), splits=given.words, mark=None
    )


def open_split(
    spec: str,
    split: SplitName,
    preparation: Preparation,
    *,
    marks: Marks | None,
    targets: TargetKind = "classes",
    skip_unreadable: bool = False,
    memory_limit_mb: int = 2048,
    accept: Callable[[OpenedSplit], object] = lambda opened: None,
) -> OpenedSplit:
    """Open the images that a trained network is evaluated on; `one_split` says which these are, and no other is read.

    What is evaluated is said where it is not the split as given, and how many of the images have the name and size of a
    training image.

    Args:
        spec, targets, skip_unreadable, memory_limit_mb: as in `open_dataset`.
        split: the one to evaluate on.
        preparation: how images are prepared for the network.
        marks: of the images that the network learned from; None where they are unknown.
        accept: called with the split before an image of it is read; it raises an error where the classes do not suit
            the network.

    Raises:
        InputError: as `open_dataset`, or there is no such split.
    """
    if spec == "digit_scenes":
        scenes = open_scenes(targets, preparation.size)
        return OpenedSplit(spec, scenes.classes, getattr(scenes, split), preparation)
    name, source = read_source(spec, targets=targets, memory_limit_mb=memory_limit_mb, to_learn=False)
    examples, words = one_split(source, split, marks)
    stored = reading.on_disk(examples)
    accept(OpenedSplit(name, source.classes, stored, preparation))
    if words:
        say(f"{name}: evaluated on {words}")
    learned = 0 if marks is None or split == "train" else marks.count(examples.images, examples.indices)
    if learned:
        say(f"warning: trained and evaluated on the same images, by name and size: {learned} of {len(examples)}")
    size, interpolation = preparation.size, preparation.interpolation
    squares = preparation.crop == 1 and targets != "semantic"  # maps are compared whole, at their own size
    squares = squares or measuring.have_size(examples, size)
    in_memory = squares and targets != "boxes" and _fits(len(examples), size, memory_limit_mb)
    read, unreadable = _read_all(name, source, {split: examples}, size, interpolation, in_memory, skip_unreadable)
    return OpenedSplit(name, source.classes, read[split], preparation, stored, tuple(unreadable))


def _none_to_mark() -> Marks:
    return NO_MARKS


def _fits(n: int, size: Size, memory_limit_mb: int) -> bool:
    """Return whether n decoded images of a size need no more than this memory."""
    return n * 3 * size[0] * size[1] / 2**20 <= memory_limit_mb


def _read_all(
    name: str,
    source: Source,
    examples: Mapping[str, Examples],
    size: Size,
    interpolation: Interpolation,
    in_memory: bool,
    skip_unreadable: bool,
) -> tuple[dict[str, InMemory | OnDisk], list[str]]:
    """Return splits without what cannot be read, which is reported, and the names of that."""
    splits: dict[str, InMemory | OnDisk] = {}
    unreadable: list[str] = []
    for split, stored in examples.items():
        splits[split], failed = _read(stored, split, size, interpolation, in_memory, skip_unreadable)
        unreadable += failed
    if unreadable:
        _report(name, unreadable, sum(map(len, examples.values())))
    for split, found in splits.items():
        if not len(found):
            raise InputError(f"no {split} image of {source.path} can be read; repair some, or choose another data set")
    return splits, unreadable


def _read(
    examples: Examples, split: str, size: Size, interpolation: Interpolation, in_memory: bool, skip_unreadable: bool
) -> tuple[InMemory | OnDisk, list[str]]:
    """Return one split without what cannot be read, and the names of that."""
    if in_memory:
        decoded, failures = reading.decode(examples, size, f"reading {split} images", interpolation)
    elif skip_unreadable:
        failures = reading.check(examples, f"checking {split} images")
    else:
        failures = {}
    if failures and not skip_unreadable:
        raise skippable(failures[min(failures)])
    readable = np.setdiff1d(np.arange(len(examples)), list(failures))
    names = [failures[position].name for position in sorted(failures)]
    if not in_memory:
        return reading.on_disk(examples.take(readable)), names
    if failures:
        decoded = InMemory(decoded.images[torch.from_numpy(readable)], decoded.targets.take(readable))
    return decoded, names


def _report(name: str, unreadable: list[str], total: int) -> None:
    say(f"{name}: skipped {len(unreadable)} of {total} images that cannot be read:")
    for skipped in unreadable[:_MOST_LISTED]:
        say(f"  {skipped}")
    if len(unreadable) > _MOST_LISTED:
        say(f"  ... and {len(unreadable) - _MOST_LISTED} more")
