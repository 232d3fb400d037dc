"""The files that predictions are drawn to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modernet.errors import InputError
from modernet.files.atomic import check_writable


def drawing_files(folder: Path, images: Sequence[Path], endings: Sequence[str]) -> dict[Path, list[Path]]:
    """Return the files of each image in a folder: its name with each of the endings, such as `".png"`.

    The folder is created.

    Raises:
        InputError: a file would be written twice, or among the images, where it could replace one; or the folder cannot
            be written to.
    """
    drawn_from: dict[Path, Path] = {}
    files: dict[Path, list[Path]] = {}
    for path in images:
        if folder.resolve() in (path.parent.resolve(), path.resolve().parent):
            raise InputError(f"--out {folder} holds {path.name} itself; give another folder")
        files[path] = [folder / f"{path.stem}{ending}" for ending in endings]
        for file in files[path]:
            if file in drawn_from:
                raise InputError(
                    f"{drawn_from[file]} and {path} would both be drawn as {file.name}; predict them apart"
                )
            drawn_from[file] = path
    check_writable(folder)
    return files
