"""Data sets of the Hugging Face Hub: parquet files, each fetched when its first image is needed."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modernet.data.images.collection import EncodedImages
from modernet.data.images.decoding import UnreadableImage
from modernet.data.sources.assemble import assemble
from modernet.data.sources.examples import Source
from modernet.data.sources.parquet import RowNames
from modernet.data.sources.parquet_columns import IMAGE_COLUMNS, LABEL_COLUMNS, ParquetFile, map_arrow, write_arrow
from modernet.data.sources.split_names import DEFAULT_CONFIG, place_of
from modernet.errors import InputError, one_line, unknown_name
from modernet.files.atomic import whole_file
from modernet.files.bounded_cache import cached
from modernet.files.cache import cache_folder, only_one
from modernet.files.fetch import FetchError, fetch
from modernet.files.fingerprint import json_sha256
from modernet.files.hub_file import HubFile
from modernet.progress import say, track

PREFIX = "hf:"

_SPEC = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:/([^@]+))?(?:@(.+))?")
_PARTIAL = "partial-"  # how the Hub begins the folder of a split that it converted in part
_CONVERTED = "refs/convert/parquet"  # the Hub's own conversion of a data set
_THREADS = 8  # files whose labels are read at a time; each waits for the network
_OPEN_FILES = 64


class HubImages(EncodedImages):
    """Images in parquet files of the Hub.

    Args:
        files: of one split.
        rows: number of rows of each.
        column: the column of the images.
    """

    def __init__(self, files: Sequence[HubFile], rows: Sequence[int], column: str) -> None:
        self._files, self._column = tuple(files), column
        self._names = RowNames([_name(file) for file in files], rows)
        self._count = sum(rows)

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        return self._names[index]

    def identity(self, index: int) -> str:
        return self._names.identity(index)

    def versions(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """As `Images.versions`: of the file of each image, since single images are not known before it is fetched."""
        of_files = np.array([_version(file) for file in self._files], dtype=np.int64)
        return of_files[[self._names.find(index)[0] for index in indices.tolist()]]

    def content(self, index: int) -> bytes:
        file, row = self._names.find(index)
        content = self._images(file)[row].as_py()
        if content is None:
            raise UnreadableImage(self.name(index), "the row has no bytes")
        assert isinstance(content, bytes)
        return content

    def _images(self, file: int) -> pa.ChunkedArray:
        while True:
            try:
                return _mapped(_arrow_file(self._files[file], self._column))
            except FileNotFoundError:  # another process has just removed it
                continue


def _arrow_file(file: HubFile, column: str) -> Path:
    """Return the images of a parquet file as an Arrow file in the cache, fetched and converted if it is not there."""
    digest = json_sha256([asdict(file), column])[:16]
    name = f"{digest}-{PurePosixPath(file.path).stem}.arrow"
    return cached(name, functools.partial(_make_arrow, file, column))


def _make_arrow(file: HubFile, column: str, target: Path) -> None:
    from huggingface_hub import get_token

    parquet = target.with_name(f"{target.name}.parquet")
    try:
        fetch(file.url, parquet, size=file.size, sha256=file.sha256, token=get_token())
    except FetchError as error:
        if error.status in (401, 403):
            raise _refused(file.repo) from error
        raise
    try:
        write_arrow(target, ParquetFile(parquet, _name(file)).images(column))
    finally:
        parquet.unlink()  # the cache limit does not cover it


def _version(file: HubFile) -> int:
    return (file.size or 0) if file.sha256 is None else int(file.sha256[:15], 16)  # 60 bits


def _name(file: HubFile) -> PurePosixPath:
    """Return the name of a file in messages."""
    return PurePosixPath(f"{PREFIX}{file.repo}") / file.path


class _Known(NamedTuple):
    """The labels of some files."""

    rows: list[int]
    labels: list[list[int | str]]
    classes: tuple[str, ...] | None
    image_column: str


def read_hub(spec: str) -> Source:
    """Read `hf:org/name`, `hf:org/name/config`, `hf:org/name@revision`.

    Reads the parquet files of the data set or, if it has none, the Hub's conversion to parquet. Labels are read now, by
    byte ranges of their columns, and cached; images are fetched when they are needed, a file at a time.

    Raises:
        InputError: the data set does not exist, is private or gated, has no labelled images in parquet, or the Hub
            cannot be reached.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise InputError(
            f"{spec!r} is not a data set of the Hub; give hf:org/name, hf:org/name/config or hf:org/name@revision"
        )
    repo, config, revision = match[1], match[2], match[3]
    with _as_input_errors(repo, revision):
        files = _list_files(repo, config, revision)
        known = _read_labels(spec, [file for split in files for file in files[split]])
    first = 0
    labels: dict[str, list[int | str]] = {}
    rows: dict[str, list[int]] = {}
    for split, of_split in files.items():
        last = first + len(of_split)
        labels[split] = [label for labels_of_file in known.labels[first:last] for label in labels_of_file]
        rows[split] = known.rows[first:last]
        first = last

    def images_of(split: str) -> tuple[HubImages, NDArray[np.int64]]:
        images = HubImages(files[split], rows[split], known.image_column)
        return images, np.repeat(np.arange(len(rows[split])), rows[split])

    return assemble(
        spec,
        labels,
        images_of,
        name_of=lambda split, row: images_of(split)[0].name(row),
        classes=known.classes or None,
    )


def _list_files(repo: str, config: str | None, revision: str | None) -> dict[str, list[HubFile]]:
    """Return the files of each split of one configuration."""
    configs = _configs(repo, revision)
    if not configs and revision is None:
        configs = _configs(repo, _CONVERTED)
    if not configs:
        raise InputError(f"the data set {repo} has no parquet files train-*.parquet; download it and give its folder")
    if config is None and len(configs) > 1 and DEFAULT_CONFIG not in configs:
        raise InputError(
            f"{repo} has several configurations: {', '.join(configs)}; give one, as {PREFIX}{repo}/{min(configs)}"
        )
    chosen = config or (DEFAULT_CONFIG if DEFAULT_CONFIG in configs else next(iter(configs)))
    if chosen not in configs:
        raise unknown_name(f"configuration of {repo}", chosen, configs)
    return configs[chosen]


def _configs(repo: str, revision: str | None) -> dict[str, dict[str, list[HubFile]]]:
    """List the parquet files at a revision: configuration -> split -> files.

    `data/train-00000-of-00002.parquet` and `CONFIG/train-00000-of-00002.parquet` are the layout of uploads,
    `CONFIG/train/0000.parquet` is that of the Hub's conversions.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError
    from huggingface_hub.hf_api import RepoFile

    api = HfApi()
    try:
        commit = api.dataset_info(repo, revision=revision).sha
    except RevisionNotFoundError:
        if revision == _CONVERTED:
            return {}
        raise
    assert commit is not None
    configs: dict[str, dict[str, list[HubFile]]] = {}
    partial = False
    for entry in api.list_repo_tree(repo, recursive=True, revision=commit, repo_type="dataset"):
        path = PurePosixPath(entry.path)
        place = place_of(path)
        if not isinstance(entry, RepoFile) or path.suffix != ".parquet" or place is None:
            continue
        config, split = place
        partial = partial or path.parent.name.startswith(_PARTIAL)
        sha256_of_file = entry.lfs.sha256 if entry.lfs else None
        file = HubFile(repo, entry.path, "dataset", commit, entry.size, sha256_of_file)
        configs.setdefault(config, {}).setdefault(split, []).append(file)
    if partial:
        say(f"the Hub has converted only a part of {repo}; that part is used")
    for splits in configs.values():
        for files in splits.values():
            files.sort(key=lambda file: file.path)
    return configs


def _read_labels(spec: str, files: Sequence[HubFile]) -> _Known:
    """Return the labels of the files; cached, since a commit never changes."""
    kept = cache_folder() / "indexes" / f"{json_sha256([asdict(file) for file in files])[:16]}-hub.json"
    with only_one(kept):
        try:
            rows, labels, classes, image_column = json.loads(kept.read_bytes())
            return _Known(rows, labels, None if classes is None else tuple(classes), image_column)
        except (OSError, ValueError):  # missing or damaged
            known = _fetch_labels(spec, files)
            with whole_file(kept) as unfinished:
                unfinished.write_text(json.dumps(known))
            return known


def _fetch_labels(spec: str, files: Sequence[HubFile]) -> _Known:
    first = _open(files[0])
    image_column = first.find_column(IMAGE_COLUMNS, "image")
    label_column = first.find_column(LABEL_COLUMNS, "label")

    def of_file(file: HubFile) -> tuple[int, list[int | str]]:
        table = _open(file)
        return table.rows, [*table.labels(label_column)]

    with ThreadPoolExecutor(_THREADS) as threads:
        try:
            read = list(track(threads.map(of_file, files), f"reading the labels of {spec}", len(files)))
        finally:
            threads.shutdown(cancel_futures=True)
    rows, labels = [n for n, _ in read], [values for _, values in read]
    return _Known(rows, labels, first.class_names(label_column), image_column)


def _open(file: HubFile) -> ParquetFile:
    """Open a file of the Hub, to be read by byte ranges."""
    from huggingface_hub import HfFileSystem, constants

    path = f"datasets/{file.repo}@{file.revision}/{file.path}"
    remote = HfFileSystem(endpoint=constants.ENDPOINT).open(path, "rb", cache_type="none")
    return ParquetFile(remote, _name(file))


@functools.lru_cache(maxsize=_OPEN_FILES)
def _mapped(arrow: Path) -> pa.ChunkedArray:
    return map_arrow(arrow)


@contextmanager
def _as_input_errors(repo: str, revision: str | None) -> Iterator[None]:
    """Translate errors of the Hub into `InputError`."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    # the HTTP package of the Hub's client depends on its version; this is the base of its errors
    network_error = cast(type[Exception], HfHubHTTPError.__bases__[0])
    try:
        yield
    except InputError as error:
        cause = error.__cause__
        if not isinstance(cause, network_error):
            raise
        with _as_input_errors(repo, revision):  # the network failed while a file was read: it is not damaged
            raise cause from cause.__cause__
    except GatedRepoError as error:
        raise _refused(repo) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"the Hub has no data set {repo}, or it is private; check the name, or log in (hf auth login)"
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(f"the data set {repo} has no revision {revision!r}; give a branch, tag or commit") from error
    except (network_error, OSError) as error:
        raise InputError(
            f"cannot read the data set {repo} of the Hub ({one_line(error)}); check the network"
        ) from error


def _refused(repo: str) -> InputError:
    return InputError(
        f"the data set {repo} is gated: accept its terms on its page on the Hub, then log in (hf auth login)"
    )
