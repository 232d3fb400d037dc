"""open_dataset: a name, a folder or an address -> an opened data set."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from modernet.data import decoding
from modernet.data.dataset import ImageDataset, InMemory, OnDisk
from modernet.data.digit_scenes import DIGITS, SplitName, make_scenes
from modernet.data.images.decode import skippable
from modernet.data.images.views import Interpolation, as_size
from modernet.data.sources.labelled import Labelled, Source
from modernet.data.sources.read import read_source
from modernet.data.splits import three_splits
from modernet.errors import InputError
from modernet.progress import say

_SCENES: tuple[tuple[SplitName, int], ...] = (("train", 1536), ("validation", 300), ("test", 1000))
_SCENE_SIZE = 32
_MOST_SAID = 20  # skipped images that are said by name; the data set knows them all
_NEAR = 2000  # images of shards far away that sizes and colours are measured on


def open_dataset(
    spec: str,
    *,
    image_size: int | None = None,
    skip_unreadable: bool = False,
    memory_limit_mb: int = 2048,
    whole_images: bool = False,
    interpolation: Interpolation = "bilinear",
    download: bool = True,
) -> ImageDataset:
    """Open labelled images.

    A folder is recognised by what it holds: an image folder (`class/image`, or `train/`, `val/`, `test/` above it;
    ImageNet's own layout is one), tar shards in WebDataset's layout (`train-*.tar`, ...), parquet in the Hub's image
    layout, the original files of CIFAR-10 or of MNIST and its family. `three_splits` says where train, validation and
    test come from; an image keeps its place when others are added.

    Shards that are not on this machine are fetched one by one, each when its first image is needed, and kept in the
    cache folder (`$MODERNET_CACHE_GB` of them at most, by default 200). So training starts at once; sizes and colours
    are those of the first shards.

    Args:
        spec: `"digit_scenes"` (embedded), `"cifar10"`, `"fashion_mnist"`, `"mnist"` (fetched into `$MODERNET_CACHE`,
            by default `~/.cache/modernet`); the path of a folder (one of the same name is `"./mnist"`); tar shards,
            `"path/{000..127}.tar"`; `"https://host/folder"`, with the `index.json` of `modernet data pack` in it, or
            `"https://host/folder/train-{000..127}.tar"`; `"hf:org/name"`, a data set of the Hugging Face Hub with
            images in parquet (`"hf:org/name/config"`, `"hf:org/name@revision"`).
        image_size: side of the square images; None is what suits the images: their own side where all are squares
            of one size up to 256, otherwise 224, or less where most are smaller (`decoding.usual_size`). Other
            images are scaled by their shorter side and cut to the square in the centre.
        skip_unreadable: leave out and list what cannot be read, instead of an error; images on disk are all checked
            now, and shards all fetched for that.
        memory_limit_mb: data sets that need no more than this, decoded, are kept in memory; larger ones are read as
            they are shown.
        whole_images: whether squares will be cut out of the images as they are (random crops, a test's middle):
            then only what is a square of image_size already is kept in memory.
        interpolation: how images that are kept in memory are scaled; those on disk are scaled when they are shown.
        download: whether a name may be fetched.

    Raises:
        InputError: nothing is there, it is of no known layout, or it cannot be used; the message says why.
    """
    if image_size is not None and image_size < 2:  # torch 2.15 cannot scale an image to one pixel
        raise InputError(f"image_size is {image_size}; give the side in pixels, at least 2, such as 224")
    if spec == "digit_scenes":
        return _digit_scenes(_SCENE_SIZE if image_size is None else image_size)
    name, source = read_source(spec, memory_limit_mb=memory_limit_mb, download=download)
    return _opened(name, source, image_size, skip_unreadable, memory_limit_mb, whole_images, interpolation)


def _digit_scenes(image_size: int) -> ImageDataset:
    train, validation, test = (InMemory(*make_scenes(split, n, image_size=image_size)) for split, n in _SCENES)
    mean, std = decoding.measure(train, as_size(image_size))
    words = "generated; no source digit is in two splits"
    return ImageDataset("digit_scenes", DIGITS, image_size, mean, std, train, validation, test, splits=words)


def _opened(
    name: str,
    source: Source,
    image_size: int | None,
    skip_unreadable: bool,
    memory_limit_mb: int,
    whole_images: bool,
    interpolation: Interpolation,
) -> ImageDataset:
    """Split, decode what fits in memory, and measure."""
    parts = three_splits(source)
    surveyed = parts.train if parts.train.shards is None else parts.train.take(_near(parts.train.shards))
    size = decoding.usual_size(surveyed) if image_size is None else image_size
    given = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    megabytes = sum(len(part) for part in given.values()) * 3 * size**2 / 2**20
    in_memory = megabytes <= memory_limit_mb and (not whole_images or decoding.have_size(surveyed, as_size(size)))
    splits: dict[str, InMemory | OnDisk] = {}
    unreadable: list[str] = []
    for split, part in given.items():
        splits[split], failed = _read(part, split, size, interpolation, in_memory, skip_unreadable)
        unreadable += failed
    if unreadable:
        total = sum(len(part) for part in given.values())
        say(f"{name}: skipped {len(unreadable)} of {total} images that cannot be read:")
        for skipped in unreadable[:_MOST_SAID]:
            say(f"  {skipped}")
        if len(unreadable) > _MOST_SAID:
            say(f"  ... and {len(unreadable) - _MOST_SAID} more")
        _check_what_is_left(splits, source)
    train = splits["train"]
    measured = train
    if isinstance(train, OnDisk) and train.shards is not None:
        near = torch.from_numpy(_near(train.shards.numpy()))
        measured = OnDisk(train.images, train.indices[near], train.labels[near])
    mean, std = decoding.measure(measured, as_size(size), interpolation)
    return ImageDataset(
        name,
        source.classes,
        size,
        mean,
        std,
        train,
        splits["validation"],
        splits["test"],
        tuple(unreadable),
        parts.words,
    )


def _near(shards: NDArray[np.int64]) -> NDArray[np.int64]:
    """The positions of the images in the first shards, as few of these as hold 2,000."""
    return np.flatnonzero(shards <= np.sort(shards)[:_NEAR][-1])


def _read(
    part: Labelled, split: str, size: int, interpolation: Interpolation, in_memory: bool, skip_unreadable: bool
) -> tuple[InMemory | OnDisk, list[str]]:
    """One split, without what cannot be read, and the names of that."""
    if in_memory:
        decoded, failures = decoding.decode(part, as_size(size), f"reading {split} images", interpolation)
    elif skip_unreadable:
        failures = decoding.check(part, f"checking {split} images")
    else:
        failures = {}
    if failures and not skip_unreadable:
        raise skippable(failures[min(failures)])
    readable = np.setdiff1d(np.arange(len(part)), list(failures))
    names = [failures[position].name for position in sorted(failures)]
    if not in_memory:
        return decoding.on_disk(part.take(readable)), names
    if failures:
        kept = torch.from_numpy(readable)
        decoded = InMemory(decoded.images[kept], decoded.labels[kept])
    return decoded, names


def _check_what_is_left(splits: dict[str, InMemory | OnDisk], source: Source) -> None:
    for split, part in splits.items():
        if not len(part):
            raise InputError(f"no {split} image of {source.path} can be read; repair some, or choose another data set")
    present = set(splits["train"].labels.tolist())
    for label, name in enumerate(source.classes):
        if label not in present:
            raise InputError(f"no training image of the class {name!r} in {source.path} can be read; repair some")
