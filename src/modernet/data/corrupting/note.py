"""A note in a folder of corrupted images: which images they are of, and what they share.

A run continues the folder of an earlier one only if both would write the same images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from modernet.data.transforms.corruptions import CORRUPTIONS
from modernet.errors import InputError, one_line
from modernet.files.atomic import whole_file

NOTE_NAME = ".corrupted.json"
Settings = Mapping[str, str | int]


def check_note(out: Path, settings: Settings) -> Settings:
    """Check that the images in a folder, if any, have the same settings.

    Args:
        out: the folder, which may not exist.
        settings: by the words that name them in messages. Those in the note are kept, and may be more: only runs with
            frost have that of frost.

    Returns:
        The settings with those in the note.

    Raises:
        InputError: one differs; the note cannot be read; or there are corrupted images, but no note.
    """
    path = out / NOTE_NAME
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        others = [name for name in CORRUPTIONS if (out / name).exists()]
        if others:
            raise InputError(
                f"{out} has {others[0]}, and no note of how it was made; give a new folder, or one that this command "
                "began"
            ) from None
        return settings
    except (OSError, ValueError) as error:
        raise InputError(f"the note {path} cannot be read: {one_line(error)}; give another folder") from error
    if not isinstance(earlier, dict) or not settings.keys() - {"frost"} <= earlier.keys():
        raise InputError(f"the note {path} is incomplete; give another folder")
    for key, value in settings.items():
        if earlier.get(key, value) != value:
            what = f"with {key} {earlier[key]}, not {value}"
            if key == "images":  # fingerprints
                what = f"from other images than {settings['data']} now has"
            raise InputError(f"{out} was written {what}; give another folder")
    return {**earlier, **settings}


def write_note(out: Path, settings: Settings) -> None:
    """Note the settings, in addition to those that are noted already.

    Raises:
        InputError: as `check_note`.
    """
    noted = check_note(out, settings)
    with whole_file(out / NOTE_NAME) as unfinished:
        unfinished.write_text(json.dumps(noted), encoding="utf-8")
