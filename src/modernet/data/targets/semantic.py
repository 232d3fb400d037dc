"""The class of each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from modernet.data.images.views import IGNORE, ChooseView, View
from modernet.data.targets.contract import Ints
from modernet.data.targets.maps import Maps, digest_of_maps, read_map
from modernet.data.transforms.moves import Moves
from modernet.errors import InputError


@dataclass(frozen=True, eq=False)
class SemanticTargets:
    """The class of each pixel.

    Attributes:
        maps: integers (m, h, w), or maps that are read when they are needed; `IGNORE` where the class is unknown.
        indices: int64 (n,), the map of each image.
    """

    maps: Tensor | Maps
    indices: Ints
    spatial: ClassVar[bool] = True
    fitted: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, positions: Ints) -> SemanticTargets:
        return replace(self, indices=self.indices[positions])

    def strata(self) -> None:
        return None

    def digest(self) -> bytes:
        return digest_of_maps(self.maps, self.indices)

    def check(self, classes: Sequence[str], where: Path | str) -> None:
        if len(classes) < 2:
            raise InputError(f"{where} has {len(classes)} classes of pixels; segmentation needs at least two")

    def show(self, views: Sequence[View]) -> SemanticTargets:
        maps = [
            view.map_semantic(read_map(self.maps, index))
            for view, index in zip(views, self.indices.tolist(), strict=True)
        ]
        return SemanticTargets(torch.stack(maps), np.arange(len(maps)))

    def to(self, device: torch.device) -> SemanticTargets:
        return replace(self, maps=_in_memory(self.maps).to(device))

    def collate(self) -> Tensor:
        maps = _in_memory(self.maps)
        return maps[torch.from_numpy(self.indices).to(maps.device)]

    def move(self, batch: Tensor, moves: Moves) -> Tensor:
        return moves.map_semantic(batch)


def varied_view(
    h: int, w: int, *, choose: ChooseView, maps: SemanticTargets, position: int, share: float, tries: int = 10
) -> View:
    """Choose a view in which no class fills `share` of the known pixels or more; the last of some tries, if none is so.

    As in OpenMMLab, a view with one class only counts as one.

    Args:
        h, w: of the upright image.
        choose: draws a view.
        position: of the image in `maps`.
    """
    semantic = read_map(maps.maps, int(maps.indices[position]))
    for _ in range(tries):
        view = choose(h, w)
        shown = view.map_semantic(semantic)
        counts = torch.bincount(shown[shown != IGNORE].long())
        if (counts > 0).sum() > 1 and float(counts.max() / counts.sum()) < share:
            break
    return view


def _in_memory(maps: Tensor | Maps) -> Tensor:
    assert isinstance(maps, Tensor), "targets are read by `show` before they are collated"
    return maps
