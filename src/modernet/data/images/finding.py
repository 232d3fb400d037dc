"""Image files in folders: by suffix, without hidden ones, also behind links to folders."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from modernet.errors import InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})
_MOST_NAMES = 1000


def find_images(patterns: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Find image files, given files, folders (searched recursively) and shell patterns (`"photos/*.jpg"`).

    A file that is given by name is taken whatever its suffix; folders and patterns give image files only.

    Returns:
        The paths, sorted, each once.

    Raises:
        InputError: a pattern matches no image.
    """
    found: set[Path] = set()
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_file():
            matches = [path]
        elif path.is_dir():
            matches = images_below(path)
        else:
            globbed = [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - patterns may be absolute
            matches = [match for match in globbed if match.is_file() and is_image(match)]
        if not matches:
            raise InputError(
                f"no image matches {str(pattern)!r}; give image files, folders that contain them, "
                "or a pattern such as 'photos/*.jpg'"
            )
        found.update(matches)
    return sorted(found)


def images_below(folder: Path) -> list[Path]:
    """Return every image file in a folder and below it, sorted by path, except hidden ones."""
    return sorted(path for path in files_below(folder) if is_image(path))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every file in a folder and below it, also behind links to folders, except hidden ones."""
    for parent, folders, files in os.walk(folder, followlinks=True):
        inside = (name for name in sorted(folders) if not is_hidden(name))
        folders[:] = [name for name in inside if not leads_back(Path(parent, name), folder)]
        yield from (Path(parent, name) for name in sorted(files) if not is_hidden(name))


def leads_back(folder: Path, root: Path) -> bool:
    """Return whether a folder is a link to one that holds it, by way of other links or not: a walk would not end.

    Args:
        folder: below `root`.
        root: where the walk began.
    """
    if not folder.is_symlink():
        return False
    target = folder.resolve()
    above = [parent for parent in folder.parents if parent.is_relative_to(root)]
    return any(parent.resolve().is_relative_to(target) for parent in above)


def is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path.name)


def some_names(folder: Path) -> list[str]:
    """Return the first thousand names in a folder that may have a million, without hidden ones, sorted; none if there
    is no such folder.
    """
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in islice(entries, _MOST_NAMES) if not is_hidden(entry.name))


def is_hidden(name: str) -> bool:
    """Whether a name belongs to the system rather than to the user: `.DS_Store`, `._photo.jpg`, `__MACOSX`."""
    return name.startswith((".", "__MACOSX"))


def has_folders(folder: Path) -> bool:
    """Return whether there are folders in a folder; not if it begins with an image, since a million may follow."""
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number == 0 and is_image(Path(entry.name)):
                return False
            if entry.is_dir() and not is_hidden(entry.name):
                return True
    return False
