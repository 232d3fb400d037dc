"""One case of a benchmark, as the settings of its record store it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from modernet.errors import InputError
from modernet.records import Record

KIND = "benchmark"


@dataclass(frozen=True)
class BenchmarkCase:
    """What was measured, and how.

    Attributes:
        benchmark: id of the run of `modernet benchmark`, shared by its cases.
        index: position among the cases of the run.
        model: name of the network: `"convnext_tiny"`, `"timm:convnext_tiny"`.
        mode: `"infer"` or `"train"`.
        dtype, layout, compile: as on the command line; `"chosen"` for an optimized network.
        batch: examples per batch; None if no batch fits in memory.
        image_size: side of square images in pixels, or `HEIGHTxWIDTH`; None for networks that take none.
        device: torch's name of the device; `threads` of a CPU.
        rounds: number of rounds measured; `turn_s` is the length of a turn in seconds.
        ratio_to: label of the case that the ratio refers to.
        bound: `"arithmetic"` or `"bytes"`: which takes longer at the device's peaks.
        optimized: how `optimize` runs the network; None for other networks.
        unit: what its examples are, in the plural: `"images"`, `"sequences"`, `"clouds"`.
        length: steps of its sequences, or points of its clouds; None for images.
    """

    benchmark: str
    index: int
    model: str
    mode: str | None = None
    dtype: str | None = None
    layout: str | None = None
    compile: str | None = None
    batch: int | None = None
    image_size: int | str | None = None
    device: str | None = None
    threads: int | None = None
    rounds: int | None = None
    turn_s: float | None = None
    ratio_to: str | None = None
    bound: str | None = None
    optimized: Any = None
    unit: str = "images"
    length: int | None = None

    def to_settings(self) -> dict[str, Any]:
        """Return the settings of the record of the case."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_record(cls, record: Record) -> BenchmarkCase:
        """Read a case from its record.

        Raises:
            InputError: the record does not say which case of which run it is.
        """
        settings: Mapping[str, Any] = {"model": record.name, **record.settings}
        for name in ("benchmark", "index"):
            if name not in settings:
                raise InputError(
                    f"the record {record.name!r} of a benchmark has no setting {name!r}; run it again to recreate it"
                )
        known = {field.name: settings[field.name] for field in fields(cls) if field.name in settings}
        return cls(**{**known, "benchmark": str(settings["benchmark"]), "index": int(settings["index"])})
