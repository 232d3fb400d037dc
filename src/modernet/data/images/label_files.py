"""Label maps that are one image file each: stored values or colours -> classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.images.decoding import UnreadableImage, opened
from modernet.data.images.views import IGNORE
from modernet.files.names import valid_text

_INDEX_MODES = ("P", "L", "1", "I", "I;16", "I;16B", "I;16L")
_COLOURS = 2**24

Values = NDArray[np.int64]


def read_values(path: Path, *, coloured: bool) -> Values:
    """Return what a label map stores, `(h, w)`: indices, or colours as 0xRRGGBB.

    Args:
        coloured: by colour, whatever the mode of the file. Otherwise a palette is not looked up, since its indices are
            what counts, and grey stored as RGB is one index.

    Raises:
        UnreadableImage: the file cannot be decoded, or is coloured and read by index.
    """
    name = valid_text(str(path))
    with opened(path, name) as image:
        if coloured:
            red, green, blue = np.asarray(image.convert("RGB"), dtype=np.int64).transpose(2, 0, 1)
            packed: Values = red << 16 | green << 8 | blue
            return packed
        if image.mode in _INDEX_MODES:
            return np.asarray(image).astype(np.int64)
        channels = np.asarray(image.convert("RGB"), dtype=np.int64)
    if (channels != channels[..., :1]).any():
        raise UnreadableImage(name, "its labels are colours; list those of the classes in class_dict.csv: name,r,g,b")
    grey: Values = channels[..., 0]
    return grey


def stored_mode(path: Path) -> str:
    """Return PIL's mode of an image file, such as `"P"`, from the header alone.

    Raises:
        UnreadableImage: it is no image.
    """
    with opened(path, valid_text(str(path))) as image:
        return image.mode


def is_index_mode(mode: str) -> bool:
    """Return whether files of a mode store one number a pixel."""
    return mode in _INDEX_MODES


@dataclass(frozen=True, eq=False)
class LabelCode:
    """What stored values mean.

    Attributes:
        classes: stored value, or colour as 0xRRGGBB -> class, `IGNORE` where it is unknown.
        coloured: whether maps are read by colour.
    """

    classes: Mapping[int, int]
    coloured: bool

    @cached_property
    def table(self) -> NDArray[np.int16]:
        """Class of every value, -1 where it has none."""
        table = np.full(_COLOURS if self.coloured else max(self.classes) + 1, -1, dtype=np.int16)
        table[list(self.classes)] = list(self.classes.values())
        return table

    def __getstate__(self) -> dict[str, object]:
        return {"classes": self.classes, "coloured": self.coloured}  # without the table, which may have 32 MB

    def decode(self, values: Values) -> NDArray[np.int16]:
        """Return the classes of stored values, -1 for those that have none."""
        known = values < len(self.table)
        return np.where(known, self.table[np.where(known, values, 0)], np.int16(-1))


class LabelFiles:
    """Label maps as files, as `Maps` of semantic targets.

    Args:
        folder: their common root.
        paths: of each map, relative to it.
        code: what their values mean.
    """

    def __init__(self, folder: Path, paths: Sequence[str], code: LabelCode) -> None:
        self.folder, self.paths, self.code = folder, tuple(paths), code

    def __len__(self) -> int:
        return len(self.paths)

    def identity(self, index: int) -> str:
        path = self.folder / self.paths[index]
        try:
            return f"{self.paths[index]} {path.stat().st_size}"
        except OSError:
            return self.paths[index]  # reported when it is read

    def renumbered(self, numbers: Sequence[int]) -> LabelFiles:
        """Return the same maps with the number `numbers[label]` for each class; `IGNORE` stays."""
        classes = {value: label if label == IGNORE else numbers[label] for value, label in self.code.classes.items()}
        return LabelFiles(self.folder, self.paths, LabelCode(classes, self.code.coloured))

    def read(self, index: int) -> Tensor:
        path = self.folder / self.paths[index]
        classes = self.code.decode(read_values(path, coloured=self.code.coloured))
        if classes.min(initial=0) < 0:
            raise UnreadableImage(valid_text(str(path)), "it holds values that are no class; run modernet data check")
        assert classes.max(initial=0) <= IGNORE
        return torch.from_numpy(classes.astype(np.uint8))
