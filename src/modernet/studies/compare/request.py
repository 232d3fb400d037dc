"""What a comparison was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modernet.catalogue.fields import check_distinct
from modernet.errors import InputError
from modernet.recipes import Recipe
from modernet.report.compare.compared import Budget


@dataclass(frozen=True)
class CompareRequest:
    """Networks to train alike and to measure, on which data.

    Attributes:
        candidates: names as `modernet train --model` takes them: a network, `timm:NAME`, `model.tag` for published
            weights; or `NAME:field=value,...` with fields of its config. Each at most once.
        data: as `open_dataset` takes it.
        recipe: of every training; its task is that of the comparison.
        budget: what every candidate gets the same of. `equal-epochs`: those of the recipe. `equal-seconds`: as many
            epochs as fit into the time that the median candidate takes for those of the recipe, by training speeds that
            are measured in turns. `equal-macs`: as many as make the same number of multiply-accumulates.
        seeds: final trainings of each candidate, with seeds 0, 1, ...
        tune: settings of learning rate (and weight decay from the fourth on) that are tried for each candidate, by
            validation after a shorter training, the same for all; 0 or 1: the recipe as it is.
        weights_dir: folder of weight files, `NAME.safetensors` or `NAME.pth` or with `.` and `:` as `_`, to start from.
        robustness: measure also how the networks answer for corrupted test images.
        skip_unreadable: skip images that cannot be read, and list them.

    Raises:
        InputError: a candidate is given twice, or a number is out of range.
    """

    candidates: tuple[str, ...]
    data: str
    recipe: Recipe
    budget: Budget = "equal-epochs"
    seeds: int = 3
    tune: int = 0
    weights_dir: Path | None = None
    robustness: bool = True
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        check_distinct(self.candidates)
        if self.seeds < 1:
            raise InputError(f"seeds is {self.seeds}; give 1 or more")
        if self.tune < 0:
            raise InputError(f"tune is {self.tune}; give the number of settings to try, or 0")
