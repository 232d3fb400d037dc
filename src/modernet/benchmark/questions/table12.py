"""`modernet benchmark --table12`: the paper's comparison of ConvNeXt and Swin, on this device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modernet import progress
from modernet.benchmark.case import plan_cases
from modernet.benchmark.questions.speed import DEFAULT_BATCH
from modernet.benchmark.run import run_cases
from modernet.benchmark.targets import find_networks
from modernet.errors import InputError
from modernet.machine.device import check_threads, choose_device
from modernet.records import Record

SOURCE = "Liu et al. 2022, table 12: images/s on one A100, TF32, ConvNeXt in channels-last"


@dataclass(frozen=True)
class Pair:
    """A row of the table: a Swin and the ConvNeXt of its size.

    Attributes:
        swin, convnext: name in the zoo, and published images per second; None if there is no Swin of that size.
    """

    size: str
    image_size: int
    swin: tuple[str, float] | None
    convnext: tuple[str, float]

    @property
    def published(self) -> dict[str, float]:
        """Name of the network -> published images per second, Swin first."""
        return dict([self.convnext] if self.swin is None else [self.swin, self.convnext])

    @property
    def published_ratio(self) -> float | None:
        """Published speed of ConvNeXt relative to Swin."""
        return None if self.swin is None else self.convnext[1] / self.swin[1]


PAIRS = (
    Pair("T", 224, ("swin_tiny", 1325.6), ("convnext_tiny", 1943.5)),
    Pair("S", 224, ("swin_small", 857.3), ("convnext_small", 1275.3)),
    Pair("B", 224, ("swin_base", 662.8), ("convnext_base", 969.0)),
    Pair("B", 384, ("swin_base_384", 242.5), ("convnext_base", 336.6)),
    Pair("L", 224, ("swin_large", 435.9), ("convnext_large", 611.5)),
    Pair("L", 384, ("swin_large_384", 157.9), ("convnext_large", 211.4)),
    Pair("XL", 224, None, ("convnext_xlarge", 424.4)),
    Pair("XL", 384, None, ("convnext_xlarge", 147.4)),
)
"""Table 12 of the ConvNeXt paper, its throughputs (arXiv 2201.03545v2)."""


@dataclass(frozen=True)
class MeasuredPair:
    """A row of the table measured on this device: the records of Swin, if there is one, and of ConvNeXt."""

    pair: Pair
    records: list[Record]


def measure_table12(
    models: Sequence[str] = (),
    *,
    image_size: int | None = None,
    batch: int | Literal["auto"] | None = None,
    device: str | None = None,
    threads: int | None = None,
    rounds: int = 10,
    turn_s: float = 0.25,
    folder: str | os.PathLike[str] | None = None,
) -> list[MeasuredPair]:
    """Measure inference of ConvNeXt and Swin as the paper did: TF32 (float32 on a CPU), without compilation.

    ConvNeXt is channels-last and Swin contiguous. The two of a pair take turns; the ratio is ConvNeXt's to Swin's.

    Args:
        models: measure only rows with these networks. Default: all rows.
        image_size: measure only rows of this size, 224 or 384. Default: both.
        batch, device, threads, rounds, turn_s: as for `benchmark_models`.
        folder: gets a folder of results per row; None writes nothing.

    Raises:
        InputError: no row has such a network or size; otherwise as `benchmark_models`.
        Stopped: Ctrl-C; the finished rows are in the folder.
    """
    pairs = [pair for pair in PAIRS if not models or pair.published.keys() & set(models)]
    pairs = [pair for pair in pairs if image_size in (None, pair.image_size)]
    unknown = set(models).difference(*(pair.published for pair in PAIRS))
    if unknown or not pairs:
        rows = "; ".join(f"{' and '.join(pair.published)} at {pair.image_size}" for pair in PAIRS)
        raise InputError(f"table 12 has no {' or '.join(unknown) or f'such networks at {image_size}'}; it has {rows}")
    where = choose_device(device)
    measured = []
    for pair in progress.track(pairs, "table 12", len(pairs)):
        cases = [
            plan_cases(
                [name],
                where,
                modes=("infer",),
                dtypes=("tf32" if where.type == "cuda" else "float32",),
                layouts=("channels_last" if name == pair.convnext[0] else "contiguous",),
                compile_modes=("off",),
                batch=DEFAULT_BATCH[where.type] if batch is None else batch,
                size=pair.image_size,
                threads=check_threads(threads),
            )[0]
            for name in pair.published
        ]
        targets = find_networks(list(pair.published))
        row = None if folder is None else Path(folder) / f"{pair.size.lower()}-{pair.image_size}"
        measured.append(MeasuredPair(pair, run_cases(cases, targets, where, rounds=rounds, turn_s=turn_s, folder=row)))
    return measured
