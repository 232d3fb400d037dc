"""Any data set -> tar shards in WebDataset's layout, with an index of the offset of every image."""

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
_OVERHEAD = 2048  # bytes per image in a shard: the headers of two files, their padding, and a label
_USUAL_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}  # of the others it is the format's name


@dataclass(frozen=True)
class Packed:
    """The result of packing.

    Attributes:
        folder: of the shards; `open_dataset` opens it.
        shards: number of shards.
        kept: how many of them an earlier, unfinished packing had written.
        images: number of images in them.
        size: bytes of all shards.
    """

    folder: Path
    shards: int
    kept: int
    images: int
    size: int


def pack_dataset(spec: str, out: Path, *, shard_size_mb: int = 500) -> Packed:
    """Write a data set as tar shards: `train-000000.tar`, ..., likewise validation and test where it has them.

    The bytes of images are copied unchanged (pixels that were never encoded become PNG). Each split is shuffled once,
    in the same order every time, so that every shard is a fair mix of it. Next to the shards are `index.json`, with
    which they open at once, also behind HTTP, and `classes.txt`. Shards are written concurrently, each whole or not at
    all; when packing is stopped and started again, finished shards are kept.

    Args:
        spec: what `open_dataset` takes, except `"digit_scenes"`.
        out: a new folder, or that of an unfinished packing.
        shard_size_mb: approximate size of a shard.

    Raises:
        InputError: the data set cannot be opened or an image not be read; `out` contains something else or cannot be
            written to.
    """
    if shard_size_mb < 1:
        raise InputError(f"shard_size_mb is {shard_size_mb}; give 1 or more, such as 500")
    if spec == "digit_scenes":
        raise InputError("digit_scenes is generated each time; give a data set that is stored somewhere")
    source = read_source(spec).source
    plan = list(_plan(source, shard_size_mb * 2**20))
    _check_folder(out, source, {name for name, _ in plan})
    total = sum(len(examples) for _, examples in plan)
    try:
        with (
            progress.bar(f"packing {out}", total) as bar,
            ThreadPoolExecutor(decoding_workers(_MOST_THREADS)) as threads,
        ):
            writer = _Writer(out, source.classes, bar)
            try:
                shards = list(threads.map(writer.shard, plan))
            finally:
                writer.stop.set()  # or an error, or Ctrl-C, would wait for the other shards
                threads.shutdown(cancel_futures=True)
        with whole_file(out / "classes.txt") as unfinished:
            unfinished.write_text("".join(f"{name}\n" for name in source.classes), encoding="utf-8")
        write_index(out / INDEX_FILE, [shard.index for shard in shards], source.classes)
    except OSError as error:
        raise InputError(
            f"cannot write to {out}: {error.strerror or error}; make room, or give another folder"
        ) from error
    for name, _ in plan:
        _note(out / name).unlink()
    return Packed(out, len(plan), sum(shard.kept for shard in shards), total, sum(shard.index.size for shard in shards))


def _plan(source: Source, shard_size: int) -> Iterator[tuple[str, Examples]]:
    """Yield the name of each shard and its examples."""
    for split, examples in source.splits().items():
        images, n = examples.images, len(examples)
        sample = [len(_encoded(images, index)[0]) for index in examples.indices[evenly(n, _SURVEYED)].tolist()]
        shards = math.ceil(n * (float(np.mean(sample)) + _OVERHEAD) / shard_size)
        order = np.random.default_rng(0).permutation(n)
        for number, positions in enumerate(np.array_split(order, shards)):
            if len(positions):
                yield f"{split}-{number:06}.tar", examples.take(positions)


def _check_folder(out: Path, source: Source, names: set[str]) -> None:
    """Refuse a folder where shards would be mixed with something else, before anything is written."""
    if (out / INDEX_FILE).exists():
        raise InputError(f"{out} contains a finished set of shards ({INDEX_FILE}); give a new folder")
    if isinstance(source.path, Path) and out.resolve().is_relative_to(source.path.resolve()):
        raise InputError(f"{out} is inside the data set {source.path}; give a folder outside of it")
    strays = [file.name for file in tar_files(out) if file.name not in names] if out.is_dir() else []
    if strays:
        raise InputError(f"{out} contains {strays[0]}, which does not belong to this packing; give a new folder")


@dataclass(frozen=True)
class _Shard:
    """A finished shard."""

    index: ShardIndex
    kept: bool
    """Whether an earlier packing wrote it."""


class _Writer:
    """Writes the shards of one packing, from several threads; setting `stop` interrupts them."""

    def __init__(self, out: Path, classes: tuple[str, ...], bar: progress.Bar) -> None:
        self._out, self._classes, self._bar = out, classes, bar
        self.stop = threading.Event()

    def shard(self, planned: tuple[str, Examples]) -> _Shard:
        """Write a shard of this name and examples, unless an earlier packing has."""
        file, examples = self._out / planned[0], planned[1]
        images, indices, labels = examples.images, examples.indices.tolist(), examples.labels.tolist()
        content = [images.identity(index) for index in indices], labels, self._classes
        digest = sha256(repr(content).encode(errors="surrogateescape")).hexdigest()
        index = _earlier(file, digest)
        if index is not None:
            self._bar.advance(len(examples))
            return _Shard(index, kept=True)
        with whole_file(file) as unfinished, tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as tar:
            for number, (image, label) in enumerate(zip(indices, labels, strict=True)):
                if self.stop.is_set():
                    raise InterruptedError("packing was stopped")
                encoded, suffix = _encoded(images, image)
                _add(tar, f"{number:08}{suffix}", encoded)
                _add(tar, f"{number:08}.cls", str(label).encode())
                self._bar.advance()
        index = index_shard(file, checksum=True)
        write_index(_note(file), [index], None, content=digest)
        return _Shard(index, kept=False)


def _note(shard: Path) -> Path:
    """Return the file that holds the index of a finished shard until all are finished."""
    return shard.with_name(f".{shard.name}.json")


def _earlier(shard: Path, digest: str) -> ShardIndex | None:
    """Return the index from an earlier packing of the same images and labels, if there is one."""
    note = _note(shard)
    try:
        (index,), _, more = parse_index(note.read_bytes(), str(note))
        same = more["content"] == digest and shard.stat().st_size == index.size
    except (OSError, ValueError, KeyError):
        return None
    return index if same else None


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # no time and no owner: the same images make the same file
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _encoded(images: Images, index: int) -> tuple[bytes, str]:
    """Return the bytes of an image, and the suffix of their format."""
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
