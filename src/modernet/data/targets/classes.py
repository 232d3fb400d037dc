"""A class for each image, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from modernet.data.images.views import View
from modernet.data.targets.contract import Ints, Targets
from modernet.data.transforms.moves import Moves
from modernet.errors import InputError


@dataclass(frozen=True, eq=False)
class ClassTargets:
    """One class for each image.

    Attributes:
        labels: int64 (n,)
    """

    labels: Tensor
    spatial: ClassVar[bool] = False
    fitted: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: Ints) -> ClassTargets:
        return ClassTargets(self.labels[torch.from_numpy(positions).to(self.labels.device)])

    def strata(self) -> Ints:
        labels: Ints = self.labels.cpu().numpy()
        return labels

    def digest(self) -> bytes:
        return self.strata().tobytes()

    def check(self, classes: Sequence[str], where: Path | str) -> None:
        if len(classes) < 2:
            only = f"only the class {classes[0]!r}" if classes else "no class"
            raise InputError(f"{where} has {only}; a classifier needs at least two")
        missing = np.setdiff1d(np.arange(len(classes)), self.strata())
        if len(missing):
            raise InputError(
                f"{where} has no training image of the class {classes[missing[0]]!r}; add some, or remove the class"
            )

    def show(self, views: Sequence[View]) -> ClassTargets:
        return self

    def to(self, device: torch.device) -> ClassTargets:
        return ClassTargets(self.labels.to(device))

    def collate(self) -> Tensor:
        return self.labels

    def move(self, batch: Tensor, moves: Moves) -> Tensor:
        return batch


def class_labels(targets: Targets) -> Tensor:
    """Return the labels of class targets, int64 (n,); other targets have none."""
    assert isinstance(targets, ClassTargets), f"{type(targets).__name__} are not classes"
    return targets.labels


@dataclass(frozen=True)
class NoTargets:
    """Images alone, for training without labels.

    Attributes:
        n: number of images.
    """

    n: int
    spatial: ClassVar[bool] = False
    fitted: ClassVar[bool] = False

    def __len__(self) -> int:
        return self.n

    def take(self, positions: Ints) -> NoTargets:
        return NoTargets(len(positions))

    def strata(self) -> None:
        return None

    def digest(self) -> bytes:
        return str(self.n).encode()

    def check(self, classes: Sequence[str], where: Path | str) -> None:
        pass

    def show(self, views: Sequence[View]) -> NoTargets:
        return self

    def to(self, device: torch.device) -> NoTargets:
        return self

    def collate(self) -> None:
        return None

    def move(self, batch: None, moves: Moves) -> None:
        return None
