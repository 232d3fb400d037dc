"""Layouts of other tools that are not read here: each is named, with a way to one that is."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from modernet.data.images.finding import is_image, some_names
from modernet.data.sources.split_names import split_of
from modernet.errors import InputError

_PARQUET = "write each split as parquet: datasets.load_from_disk(FOLDER)['train'].to_parquet('train.parquet')"
_FOLDERS = "write its images to a folder for each class, or to tar shards (webdataset.ShardWriter)"
_UNPACK = "unpack it, and give the folder"

_FILES = (
    (
        ("dataset_dict.json", "data-*.arrow"),
        "part of a data set that was saved by save_to_disk of Hugging Face datasets (arrow)",
        _PARQUET,
    ),
    (("*.mds", "*.mds.zst*"), "a shard in MosaicML's format MDS", _FOLDERS),
    (("chunk-*.bin",), "a chunk in LitData's format", _FOLDERS),
    (("*.beton", "*.ffcv"), "a file in FFCV's format", _FOLDERS),
    (("*.tfrecord", "*.tfrecords", "*.tfrecord-*"), "a file in TensorFlow's format TFRecord", _FOLDERS),
    (("*.mdb", "*.lmdb"), "an LMDB database", _FOLDERS),
    (("*.h5", "*.hdf5", "*.npz", "*.npy", "*.mat"), "a file of arrays", _FOLDERS),
    (("*.zip", "*.tar.gz", "*.tgz", "*.tar.xz", "*.tar.zst", "*.7z", "*.rar"), "an archive", _UNPACK),
)
"""Patterns of names, what such files are, and what to do."""

_BOXES = (
    "has boxes, not classes of images; give a recipe for detection, or, to train a classifier, put images in a folder "
    "for each class"
)


def refuse_foreign(path: Path) -> None:
    """Refuse a folder in the layout of another tool.

    Folders for splits below it are looked at too. Single files count only where there are neither images nor class
    folders, so an archive next to them is ignored.

    Raises:
        InputError: the message names the layout, and says what to do.
    """
    below = [entry for entry in sorted(path.iterdir()) if split_of(entry.name) and entry.is_dir()]
    for folder in (path, *below):
        if found := _detection(folder):
            raise InputError(f"{folder} is a data set for detection ({found}): it {_BOXES}")
    files = [folder / name for folder in (path, *below) for name in some_names(folder)]
    if not any(is_image(file) or (file.is_dir() and file not in below) for file in files):
        for file in files:
            refuse_foreign_file(file)


def refuse_foreign_file(path: Path) -> None:
    """Refuse a file in the format of another tool.

    Raises:
        InputError: as `refuse_foreign`.
    """
    for patterns, kind, way in _FILES:
        if any(fnmatch(path.name.lower(), pattern) for pattern in patterns):
            raise InputError(f"{path} is {kind}, and cannot be read; {way}")


def _detection(folder: Path) -> str | None:
    """Return the layout of a data set for detection and a file of it; None for anything else."""
    if (folder / "_annotations.coco.json").is_file():
        return "COCO, _annotations.coco.json"
    for kind, images, boxes, suffix in (
        ("COCO", None, "annotations", ".json"),
        ("YOLO", "images", "labels", ".txt"),
        ("Pascal VOC", "JPEGImages", "Annotations", ".xml"),
    ):
        if images is None or (folder / images).is_dir():
            for place in (boxes, *(f"{boxes}/{split}" for split in ("train", "train2017", "val", "test"))):
                for name in some_names(folder / place):
                    if name.endswith(suffix):
                        return f"{kind}, {place}/{name}"
    return None
