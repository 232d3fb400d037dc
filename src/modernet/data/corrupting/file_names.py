"""Names of the files of images: valid and distinct on every system."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import PurePosixPath

from modernet.data.images.finding import IMAGE_SUFFIXES
from modernet.data.sources.examples import Examples
from modernet.errors import InputError

_LONGEST = 200  # bytes of a name; systems take 255, and hashes, suffixes and what marks unfinished files are added


def file_names(examples: Examples, classes: Sequence[str]) -> list[str]:
    """Return `CLASS/NAME.JPEG` for each image.

    Long names are cut and get a hash appended, and so do images of a class whose names are equal or, as some systems
    have it, differ in case alone.

    Raises:
        InputError: two classes would have one folder.
    """
    folders = [_one_part(name) for name in classes]
    first_of: dict[str, int] = {}
    for number, folder in enumerate(folders):
        first = first_of.setdefault(folder.casefold(), number)
        if first != number:
            where = "" if folders[first] == folder else " on systems that ignore case"
            raise InputError(
                f"the classes {classes[first]!r} and {classes[number]!r} would share the folder {folder}{where}; "
                "rename one"
            )
    identities = [examples.images.identity(index) for index in examples.indices.tolist()]
    names = [
        f"{folders[label]}/{_one_part(_stem(identity))}"
        for identity, label in zip(identities, examples.labels.tolist(), strict=True)
    ]
    counts = Counter(map(str.casefold, names))
    return [
        f"{name}.JPEG" if counts[name.casefold()] == 1 else f"{name}-{_short_hash(identity)}.JPEG"
        for name, identity in zip(names, identities, strict=True)
    ]


def _stem(identity: str) -> str:
    """Return the name of an image without folders and suffix."""
    name = PurePosixPath(identity).name
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix.lower() in IMAGE_SUFFIXES else name


def _short_hash(name: str) -> str:
    return sha256(os.fsencode(name)).hexdigest()[:12]


def _one_part(name: str) -> str:
    """Return a name as one part of a path: what would divide, end or hide it is written as in addresses.

    >>> _one_part("cats/dogs"), _one_part(".hidden")
    ('cats%2Fdogs', '%2Ehidden')
    """
    part = name.replace("/", "%2F").replace("\0", "%00")
    part = f"%2E{part[1:]}" if part.startswith(".") else part
    content = os.fsencode(part)
    if len(content) <= _LONGEST:
        return part
    return f"{content[:_LONGEST].decode(errors='ignore')}-{_short_hash(name)}"
