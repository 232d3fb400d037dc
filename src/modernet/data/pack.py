"""Any data set -> tar shards in WebDataset's layout, with an index that tells where every image lies."""

from __future__ import annotations

import io
import math
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from modernet import progress
from modernet.data.images.collection import EncodedImages, Images
from modernet.data.images.decoding import UnreadableImage, stored_format
from modernet.data.images.finding import IMAGE_SUFFIXES
from modernet.data.measuring import evenly
from modernet.data.sources.examples import Examples, Source
from modernet.data.sources.read import read_source
from modernet.data.sources.shard_index import INDEX_FILE, ShardIndex, index_shard, parse_index, write_index
from modernet.data.sources.tar import tar_files
from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.machine.cores import decoding_workers

_MOST_THREADS = 16
_SURVEYED = 500
_AROUND_A_IMAGE = 2048  # bytes in a shard: the headers of two files, their padding, and a label
_USUAL_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}  # of the others it is the format's name


@dataclass(frozen=True)
class Packed:
    """What was written.

    Attributes:
        folder: where it lies; `open_dataset` opens it.
        shards: how many there are.
        kept: how many of them an earlier, unfinished packing had left.
        images: how many images are in them.
        size: bytes of all shards.
    """

    folder: Path
    shards: int
    kept: int
    images: int
    size: int


def pack_dataset(spec: str, out: Path, *, shard_size_mb: int = 500) -> Packed:
    """Write a data set as tar shards: `train-000000.tar`, ..., likewise validation and test where it has them.

    The bytes of images are copied as they are (pixels that were never encoded become PNG). Each split is shuffled
    once, the same way every time, so that every shard is a fair mix of it. Beside the shards lie `index.json`, by which
    they open at once here and behind HTTP, and `classes.txt`. Shards are written side by side, each whole or not at
    all; when packing is stopped and started again, finished shards are kept.

    Args:
        spec: what `open_dataset` takes, but `"digit_scenes"`.
        out: a new folder, or that of an unfinished packing.
        shard_size_mb: how large shards are, about.

    Raises:
        InputError: the data set cannot be opened or an image not be read; `out` holds something else or cannot be
            written to.
    """
    if shard_size_mb < 1:
        raise InputError(f"shard_size_mb is {shard_size_mb}; give 1 or more, such as 500")
    if spec == "digit_scenes":
        raise InputError("digit_scenes is generated anew each time; give a data set that lies somewhere")
    source = read_source(spec).source
    plan = list(_plan(source, shard_size_mb * 2**20))
    _check_folder(out, source, {name for name, _ in plan})
    total = sum(len(part) for _, part in plan)
    stop = threading.Event()
    try:
        with (
            progress.bar(f"packing {out}", total) as task,
            ThreadPoolExecutor(decoding_workers(_MOST_THREADS)) as threads,
        ):
            writers = [_Writer(out, name, part, source.classes, task, stop) for name, part in plan]
            try:
                indexes = list(threads.map(_Writer.finished, writers))
            finally:
                stop.set()  # or an error, and Ctrl-C, would wait for shards that nobody wants any more
                threads.shutdown(cancel_futures=True)
        with whole_file(out / "classes.txt") as unfinished:
            unfinished.write_text("".join(f"{name}\n" for name in source.classes))
        write_index(out / INDEX_FILE, indexes, source.classes)
    except OSError as error:
        raise InputError(
            f"cannot write to {out}: {error.strerror or error}; make room, or give another folder"
        ) from error
    for writer in writers:
        writer.note.unlink()
    kept = sum(writer.kept for writer in writers)
    return Packed(out, len(plan), kept, total, sum(index.size for index in indexes))


def _plan(source: Source, shard_size: int) -> Iterator[tuple[str, Examples]]:
    """The name of each shard and what belongs in it."""
    for split, part in source.splits().items():
        sample = [len(_encoded(part.images, int(part.indices[p]))[0]) for p in evenly(len(part), _SURVEYED).tolist()]
        shards = math.ceil(len(part) * (float(np.mean(sample)) + _AROUND_A_IMAGE) / shard_size)
        order = np.random.default_rng(0).permutation(len(part))
        for number, positions in enumerate(np.array_split(order, shards)):
            if len(positions):
                yield f"{split}-{number:06}.tar", part.take(positions)


def _check_folder(out: Path, source: Source, names: set[str]) -> None:
    """Stop before anything is written where it would be mixed with something else."""
    if (out / INDEX_FILE).exists():
        raise InputError(f"{out} holds a finished set of shards ({INDEX_FILE}); give a new folder")
    if isinstance(source.path, Path) and out.resolve().is_relative_to(source.path.resolve()):
        raise InputError(f"{out} lies in the data set {source.path}; give a folder outside of it")
    strays = [file.name for file in tar_files(out) if file.name not in names] if out.is_dir() else []
    if strays:
        raise InputError(f"{out} holds {strays[0]}, which does not belong to this packing; give a new folder")


class _Writer:
    """Writes one shard, unless an earlier packing has."""

    def __init__(
        self, out: Path, name: str, part: Examples, classes: tuple[str, ...], task: progress.Bar, stop: threading.Event
    ) -> None:
        self.file, self.note = out / name, out / f".{name}.json"  # what is known of a finished shard
        self.part, self.classes, self.task, self.stop = part, classes, task, stop
        self.kept = False

    def finished(self) -> ShardIndex:
        """The shard's index, once it is there."""
        images, indices = self.part.images, self.part.indices.tolist()
        content = [images.identity(index) for index in indices], self.part.labels.tolist(), self.classes
        digest = sha256(repr(content).encode(errors="surrogateescape")).hexdigest()
        index = self._earlier(digest)
        if index is not None:
            self.kept = True
            self.task.advance(len(self.part))
            return index
        with (
            whole_file(self.file) as unfinished,
            tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for number, (image, label) in enumerate(zip(indices, self.part.labels.tolist(), strict=True)):
                if self.stop.is_set():
                    raise InterruptedError("packing was stopped")
                encoded, suffix = _encoded(images, image)
                _add(tar, f"{number:08}{suffix}", encoded)
                _add(tar, f"{number:08}.cls", str(label).encode())
                self.task.advance()
        index = index_shard(self.file, checksum=True)
        write_index(self.note, [index], None, content=digest)
        return index

    def _earlier(self, digest: str) -> ShardIndex | None:
        """What an earlier packing noted of this shard, if it meant the same images and labels."""
        try:
            (index,), _, note = parse_index(self.note.read_bytes(), str(self.note))
            same = note["content"] == digest and self.file.stat().st_size == index.size
        except (OSError, ValueError, KeyError):
            return None
        return index if same else None


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # no time and no owner: the same images make the same file
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _encoded(images: Images, index: int) -> tuple[bytes, str]:
    """An image's bytes, and the suffix of their format."""
    if not isinstance(images, EncodedImages):
        buffer = io.BytesIO()
        Image.fromarray(images.read(index).permute(1, 2, 0).numpy()).save(buffer, "PNG")  # c h w -> h w c
        return buffer.getvalue(), ".png"
    try:
        content = images.content(index)
        kind = stored_format(content, images.name(index))
    except UnreadableImage as error:
        raise InputError(f"{error}; repair it or remove it (modernet data check finds all of them)") from error
    suffix = _USUAL_SUFFIXES.get(kind, f".{kind}".lower())
    return content, suffix if suffix in IMAGE_SUFFIXES else ".jpg"  # decoders look at the content
