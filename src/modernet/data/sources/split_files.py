"""Data sets in a few large files, tar or parquet: which of them belong to which split."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from modernet.data.images.finding import is_hidden, is_image
from modernet.data.sources.split_names import DEFAULT_CONFIG, place_of, split_of
from modernet.errors import InputError
from modernet.progress import say


def split_files(path: Path, suffix: str) -> dict[str, list[Path]]:
    """Return the files of each split, sorted; empty if no file has a split.

    They are directly in the folder (`train-0.parquet`), or below it: in a folder for each split (`train/0.tar`), in
    `data/`, or in the folder of a configuration (`plain_text/train-0.parquet`, `default/train/0000.parquet`). Of
    several configurations `default` is used.

    Args:
        suffix: of the files, in lower case, as `.tar`.

    Raises:
        InputError: there are several configurations, and none is the default.
    """
    configs = _configs(path, _listed(path, suffix)[1]) or _configs(path, _files_below(path, suffix))
    if len(configs) > 1:
        names = ", ".join(sorted(configs))
        if DEFAULT_CONFIG not in configs:
            raise InputError(f"several folders in {path} have {suffix[1:]} files: {names}; give one of them")
        say(f"{path} has the configurations {names}; {DEFAULT_CONFIG} is used: to use another, give its folder")
    return configs.get(DEFAULT_CONFIG) or next(iter(configs.values()), {})


def _configs(path: Path, files: list[Path]) -> dict[str, dict[str, list[Path]]]:
    """Group files by configuration and split."""
    configs: dict[str, dict[str, list[Path]]] = {}
    for file in sorted(files):
        if place := place_of(file.relative_to(path)):
            config, split = place
            configs.setdefault(config, {}).setdefault(split, []).append(file)
    return configs


def _files_below(path: Path, suffix: str) -> list[Path]:
    return [file for folder in _listed(path, suffix)[0] for file in _files_in_folder(folder, suffix)]


def _files_in_folder(folder: Path, suffix: str) -> Iterator[Path]:
    """Yield the files of a folder of a split or a configuration, and of the splits in it."""
    folders, files = _listed(folder, suffix)
    if not (folders and split_of(folder.name)):  # else it is a split of class folders, beside the archive they came in
        yield from files
    for below in folders:
        if split_of(below.name):
            yield from _listed(below, suffix)[1]


def _listed(path: Path, suffix: str) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files of that suffix in a folder; nothing if it begins with an image, since listing a
    million would take minutes.
    """
    folders: list[Path] = []
    files: list[Path] = []
    with os.scandir(path) as entries:
        for number, entry in enumerate(entries):
            if number == 0 and is_image(Path(entry.name)):
                break
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                folders.append(Path(entry.path))
            elif entry.name.lower().endswith(suffix):
                files.append(Path(entry.path))
    return folders, files
