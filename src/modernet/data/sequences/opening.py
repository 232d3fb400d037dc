"""open_sequences: a name, a file or a folder -> sequences with a class each."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from modernet.data.images.finding import some_names
from modernet.data.sequences.dataset import SequenceDataset
from modernet.data.sequences.listops import listops_dataset
from modernet.data.sequences.named_encodings import NAMED_ENCODINGS
from modernet.data.sequences.pathfinder import pathfinder_dataset
from modernet.data.sequences.sizes import SequenceSize
from modernet.data.sequences.sources.grey_images import read_grey_images
from modernet.data.sequences.sources.imdb import fetch_imdb, read_imdb
from modernet.data.sequences.sources.retrieval import read_retrieval
from modernet.data.sequences.sources.rows import dataset_of
from modernet.data.sequences.sources.shortening import shortened
from modernet.data.sequences.sources.sound import has_recordings, read_sound
from modernet.data.sequences.sources.tables import read_tables
from modernet.data.skipping import Skipped
from modernet.data.sources.split_files import split_files
from modernet.errors import InputError, unknown_name
from modernet.files.names import valid_text

_SIDES = {"pathfinder32": 32, "pathfinder64": 64, "pathfinder128": 128, "pathx": 128, "pathfinder256": 256}
_LISTOPS = ("listops", "listops_s4")
_PATHFINDERS = (*_SIDES, *(f"{name}_lra" for name in _SIDES))
SEQUENCE_NAMES = (*_LISTOPS, *_PATHFINDERS, *NAMED_ENCODINGS)
_KNOWN = (
    "a table FILE.tsv, a folder with train.tsv (and val.tsv, test.tsv), or a folder of WAV files in a folder for each "
    "class"
)


def open_sequences(
    spec: str, *, seed: int = 0, skip_unreadable: bool = False, download: bool = True
) -> SequenceDataset:
    """Open sequences with a class each.

    | spec | what it is |
    |---|---|
    | `text`, `text_lra`, `text_s4` | film reviews (IMDB); fetched once, or `text:FOLDER` |
    | `retrieval:FOLDER`, `retrieval_s4:FOLDER` | pairs of papers (AAN) |
    | `listops`, `listops_s4` | nested lists; generated, or the published tables as `listops:FOLDER` |
    | `pathfinder32`, `64`, `128` (also `pathx`), `256` | snakes of dashes; generated, or `pathfinder32:FOLDER` |
    | `pathfinder32_lra`, ..., `pathx_lra` | the same, a token for each grey value |
    | `image`, `image_tokens`, `image_lra` | CIFAR-10 in grey; fetched once, or `image:FOLDER` |
    | `FILE.tsv`, or a folder of tables | texts or words with a label (`read_tables`) |
    | a folder of WAV files | a folder for each class (`read_sound`) |

    Names with `_lra` and `_s4` are encoded as those papers' code does (`NAMED_ENCODINGS`). With `-nano` after its name
    a task has short sequences and few of them: `text-nano`, `image-nano:FOLDER`. `pathfinder32-clean` is without the
    two shortcuts of the published pictures.

    Args:
        spec: see the table.
        seed: of what is generated.
        skip_unreadable: leave out and list what cannot be read, instead of an error.
        download: whether a name may be fetched.

    Raises:
        InputError: nothing is there, it is of no known layout, or something in it cannot be used; the message says why.
    """
    name, _, folder = spec.partition(":")
    base, *options = name.split("-")
    if base in SEQUENCE_NAMES:
        size = _size(name, base, options)
        path = _folder(name, folder)
        if base in NAMED_ENCODINGS:
            return _open_read(name, base, size, path, skip_unreadable=skip_unreadable, download=download)
        return _open_generated(base, size, path, seed, clean="clean" in options)
    path = Path(spec).expanduser()
    if not path.exists():
        raise _nothing(spec, path)
    name = valid_text(path.resolve().name if path.is_dir() else path.resolve().stem)
    if files := _tables(path):
        skipped = Skipped("rows", skip_unreadable)
        source, named = read_tables(path, files, skipped)
        return dataset_of(name, source, named, skipped)
    if path.is_dir() and has_recordings(path):
        return read_sound(name, path, Skipped("files", skip_unreadable))
    raise InputError(f"{spec} has no known layout; known are {_KNOWN}, and the names {', '.join(SEQUENCE_NAMES)}")


def _tables(path: Path) -> dict[str, list[Path]]:
    """Return the tables of each split."""
    if path.is_dir():
        return split_files(path, ".tsv")
    return {"train": [path]} if path.suffix.lower() == ".tsv" else {}


def _size(name: str, base: str, options: Sequence[str]) -> SequenceSize:
    """Return the size that the options of a name ask for, once they are known to suit it."""
    known = ("nano", "clean") if base in _PATHFINDERS else ("nano",)
    for option in options:
        if option not in known:
            raise InputError(f"{name} has the option {option!r}; {base} has -{' and -'.join(known)}")
    return "nano" if "nano" in options else "published"


def _folder(name: str, folder: str) -> Path | None:
    path = Path(folder).expanduser() if folder else None
    if path is not None and not path.is_dir():
        raise InputError(f"there is no folder {folder}; give {name}:FOLDER with the folder of a copy")
    return path


def _open_generated(base: str, size: SequenceSize, folder: Path | None, seed: int, *, clean: bool) -> SequenceDataset:
    if base in _LISTOPS:
        return listops_dataset(size, seed=seed, folder=folder, eos=base == "listops_s4")
    side, tokens = _SIDES[base.removesuffix("_lra")], base.endswith("_lra")
    return pathfinder_dataset(side, size, seed=seed, clean=clean, folder=folder, tokens=tokens)


def _open_read(
    name: str,
    base: str,
    size: SequenceSize,
    folder: Path | None,
    *,
    skip_unreadable: bool,
    download: bool,
) -> SequenceDataset:
    nano = size == "nano"
    named = NAMED_ENCODINGS[base].short() if nano else NAMED_ENCODINGS[base]
    if named.kind in ("grey", "grey_tokens"):
        spec = "cifar10" if folder is None else str(folder.absolute())
        return read_grey_images(name, spec, named, Skipped("images", skip_unreadable), few=nano, download=download)
    if named.towers == 1:
        source = read_imdb(fetch_imdb(download) if folder is None else folder)
    elif folder is None:
        raise InputError(f"{name} cannot be fetched; give the folder of its files, as {name}:path/to/tsv_data")
    else:
        source = read_retrieval(folder)
    return dataset_of(name, shortened(source) if nano else source, named, Skipped("rows", skip_unreadable))


def _nothing(spec: str, path: Path) -> InputError:
    """Return the error for a name or a path of nothing."""
    if len(path.parts) > 1:
        close = difflib.get_close_matches(path.name, some_names(path.parent), n=1)
        hint = f"did you mean {path.parent / close[0]}?" if close else f"give {_KNOWN}"
        return InputError(f"there is no file or folder {spec}; {hint}")
    base = spec.partition(":")[0].partition("-")[0]
    return InputError(f"{unknown_name('task of sequences', base, SEQUENCE_NAMES)}; nor is there a file {spec}")
