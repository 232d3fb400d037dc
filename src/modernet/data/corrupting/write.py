"""Any data set -> its images corrupted, in the layout of ImageNet-C: CORRUPTION/SEVERITY/CLASS/NAME.JPEG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modernet import progress
from modernet.data.corrupting.file_names import file_names
from modernet.data.corrupting.note import check_note, write_note
from modernet.data.fingerprint import examples_fingerprint
from modernet.data.images.decoding import UnreadableImage, skippable
from modernet.data.images.marks import NO_MARKS
from modernet.data.images.views import View, central_view
from modernet.data.measuring import longest_side
from modernet.data.sources.examples import Examples
from modernet.data.sources.read import read_source
from modernet.data.splits import one_split
from modernet.data.transforms.corruptions import SEVERITIES, Corrupt
from modernet.errors import InputError
from modernet.files.atomic import check_writable, whole_file
from modernet.machine.cores import decoding_workers

_SIDE, _SHORTER_SIDE = 224, 256  # cut from images with this shorter side, as published
_LARGEST_OWN_SIZE = 64  # as in Tiny ImageNet-C; such images are not enlarged
_QUALITY = 85  # of the JPEG files, as published
_BATCH = 32
_MOST_THREADS = 16


@dataclass(frozen=True)
class Written:
    """What `write_corrupted` wrote.

    Attributes:
        folder: of the corruptions.
        images: number of images written now.
        kept: number of images that an earlier, unfinished run had written.
        unreadable: names of the images that were skipped because they could not be read.
    """

    folder: Path
    images: int
    kept: int
    unreadable: tuple[str, ...]


def write_corrupted(
    spec: str,
    out: Path,
    corruptions: Sequence[str],
    severities: Sequence[int] = SEVERITIES,
    *,
    seed: int = 0,
    frost: Path | None = None,
    skip_unreadable: bool = False,
) -> Written:
    """Corrupt the images of the test split (`splits.one_split`; all, of a set without splits), and write them as
    `out/CORRUPTION/SEVERITY/CLASS/NAME.JPEG`.

    As published, images are scaled until their shorter side has 256 pixels, cut to the central 224, corrupted by
    `Corrupt`, and saved as JPEG of quality 85. Sets of images of at most 64 pixels keep their size. Each file appears
    whole or not at all. Files that are there already are kept, so a run that was stopped continues.

    Args:
        spec: what `open_dataset` takes, except `"digit_scenes"`.
        out: a folder outside of the data set.
        corruptions: names from `CORRUPTIONS`.
        severities: 1 to 5.
        seed: of everything random; what is drawn for an image depends on it and on the image's pixels.
        frost: a folder with the six photographs of ImageNet-C; None synthesises frost.
        skip_unreadable: name and skip images that cannot be read, instead of an error.

    Raises:
        InputError: the data set cannot be opened or an image not be read; there is no such corruption or severity, or
            none is given; or `out` has images of another data set, of other settings or of unknown origin, or cannot be
            written to.
    """
    corrupts = [
        Corrupt(name, severity, seed, frost=frost)
        for name in dict.fromkeys(corruptions)
        for severity in dict.fromkeys(severities)
    ]
    if not corrupts:
        raise InputError("there is nothing to write; give at least one corruption and one severity")
    if spec == "digit_scenes":
        raise InputError("digit_scenes is generated each time; give a data set that is stored somewhere")
    name, source = read_source(spec, to_learn=False)
    if isinstance(source.path, Path) and out.resolve().is_relative_to(source.path.resolve()):
        raise InputError(f"{out} is inside the data set {source.path}; give a folder outside of it")
    examples, words = one_split(source, "test", NO_MARKS)
    names = file_names(examples, source.classes)
    own_size = longest_side(examples) <= _LARGEST_OWN_SIZE
    settings: dict[str, str | int] = {
        "data": name,
        "images": examples_fingerprint(source.classes, examples),
        "size": "as stored" if own_size else f"{_SIDE}x{_SIDE}",
        "seed": seed,
    }
    if "frost" in corruptions:
        settings["frost"] = "synthesised" if frost is None else "photographs"
    check_note(out, settings)
    check_writable(out, "folder")
    if words:
        progress.say(f"{name}: corrupting {words}")
    if "frost" in corruptions and frost is None:
        progress.say("frost is synthesised; --frost DIR takes the six photographs of ImageNet-C")
    folders = {corrupt: out / corrupt.name / str(corrupt.severity) for corrupt in corrupts}
    writer = _Writer(examples, names, folders, partial(write_note, out, settings), own_size, skip_unreadable)
    try:
        images, kept = writer.write(f"corrupting {name}")
    except OSError as error:
        remedy = "make room, or give another folder" if error.errno in (ENOSPC, EDQUOT) else "give another folder"
        raise InputError(f"cannot write to {out}: {error.strerror or error}; {remedy}") from error
    return Written(out, images, kept, tuple(writer.unreadable))


class _Writer:
    """Writes the images of one run.

    Args:
        examples: the images.
        names: the file of each below the folder of a corruption.
        folders: that of each corruption.
        begin: called before the first image is written, so that a run which fails earlier leaves nothing.
        own_size: whether images keep their size.
        skip_unreadable: whether images that cannot be read are skipped; their names are in `unreadable` then.
    """

    def __init__(
        self,
        examples: Examples,
        names: Sequence[str],
        folders: Mapping[Corrupt, Path],
        begin: Callable[[], None],
        own_size: bool,
        skip_unreadable: bool,
    ) -> None:
        self._examples, self._names, self._folders, self._begin = examples, names, folders, begin
        self._own_size, self._skip_unreadable = own_size, skip_unreadable
        self.unreadable: list[str] = []

    def write(self, task: str) -> tuple[int, int]:
        """Write what is not there yet, and return how many images that were, and how many were there."""
        written = kept = 0
        n, each = len(self._examples), len(self._folders)
        with progress.bar(task, n * each) as bar, ThreadPoolExecutor(decoding_workers(_MOST_THREADS)) as threads:
            try:
                for batch in np.array_split(np.arange(n), math.ceil(n / _BATCH)):
                    missing = {position: self._missing(position) for position in batch.tolist()}
                    there = len(batch) * each - sum(map(len, missing.values()))
                    images = self._decode([position for position, corrupts in missing.items() if corrupts], threads)
                    bar.advance(there + sum(len(missing[position]) for position in missing.keys() - images.keys()))
                    kept += there
                    if images and not written:
                        self._begin()
                    written += self._write_batch(images, missing, threads, bar)
            finally:
                threads.shutdown(cancel_futures=True)  # or an error would wait for the whole batch
        return written, kept

    def _path(self, corrupt: Corrupt, position: int) -> Path:
        return self._folders[corrupt] / self._names[position]

    def _missing(self, position: int) -> list[Corrupt]:
        """Return what an image is still to be corrupted by."""
        return [corrupt for corrupt in self._folders if not _has_content(self._path(corrupt, position))]

    def _decode(self, positions: list[int], threads: ThreadPoolExecutor) -> dict[int, Tensor]:
        """Return the images, uint8 (3, h, w), without those that cannot be read."""
        images = {}
        for position, image in zip(positions, threads.map(self._image, positions), strict=True):
            if isinstance(image, Tensor):
                images[position] = image
            elif self._skip_unreadable:
                progress.say(f"{image}; skipped")
                self.unreadable.append(image.name)
            else:
                raise skippable(image)
        return images

    def _image(self, position: int) -> Tensor | UnreadableImage:
        """Return an image as it is before it is corrupted, or what is wrong with it."""
        images, index = self._examples.images, int(self._examples.indices[position])
        try:
            if self._own_size:
                return images.read(index)
            return images.read_view(index, _published_view, "bilinear")[0]
        except UnreadableImage as error:
            return error

    def _write_batch(
        self,
        images: Mapping[int, Tensor],
        missing: Mapping[int, list[Corrupt]],
        threads: ThreadPoolExecutor,
        bar: progress.Bar,
    ) -> int:
        """Corrupt images while threads save those before."""
        saving: list[Future[None]] = []
        written = 0
        for corrupt in self._folders:
            sizes: dict[torch.Size, list[int]] = {}
            for position, image in images.items():
                if corrupt in missing[position]:
                    sizes.setdefault(image.shape, []).append(position)
            for positions in sizes.values():
                corrupted = corrupt(torch.stack([images[position] for position in positions]))
                for saved in saving:  # at most a batch waits
                    saved.result()
                saving = [
                    threads.submit(_save, image, self._path(corrupt, position))
                    for image, position in zip(corrupted, positions, strict=True)
                ]
                written += len(positions)
                bar.advance(len(positions), note=f"{corrupt.name} {corrupt.severity}")
        for saved in saving:
            saved.result()
        return written


def _published_view(h: int, w: int) -> View:
    return central_view(h, w, (_SIDE, _SIDE), _SIDE / _SHORTER_SIDE)


def _save(image: Tensor, path: Path) -> None:
    pixels = Image.fromarray(image.permute(1, 2, 0).cpu().numpy())  # c h w -> h w c
    with whole_file(path, durable=False) as unfinished:
        pixels.save(unfinished, "JPEG", quality=_QUALITY, optimize=True)


def _has_content(path: Path) -> bool:
    """Return whether a file was written; after a power cut, it may be empty."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
