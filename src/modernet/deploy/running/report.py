"""What `optimize` did to a network."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from modernet.deploy.rewriting.apply import Rewrite
from modernet.deploy.running.fidelity import Judgement
from modernet.deploy.running.way import Measurement, Way
from modernet.torch_internals import tree_map

_SHOWN = 8  # layers


@dataclass(frozen=True)
class Report:
    """What `optimize` did.

    Attributes:
        rewrites: every kind of rewrite, including those that did not apply.
        measured: the speed of each way to run the network, or why it was not measured.
        chosen: the fastest way that is exact or judged faithful, which the network now uses.
        batch, device: of the example.
        dtype: dtype of the computation.
        part: which part of a network this is about; empty for a whole one.
        unit: what the batch has, in the plural.
        others: the reports of its other parts.
        missing: one line for each runtime that is not installed, and for each precision that no runtime has here.
    """

    rewrites: tuple[Rewrite, ...]
    measured: tuple[Measurement, ...]
    chosen: Way
    batch: int
    device: str
    dtype: str
    part: str = ""
    unit: str = "images"
    others: tuple[Report, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def judgement(self) -> Judgement | None:
        """What the precision of the chosen way changes; None if it is exact."""
        return next(each.judgement for each in self.measured if each.way == self.chosen)

    def as_json(self) -> dict[str, Any]:
        """Return its attributes as JSON has them: ways in words, and null for a number that is not finite."""
        values = {**vars(self), "chosen": str(self.chosen)}
        values |= {
            "rewrites": [asdict(rewrite) for rewrite in self.rewrites],
            "measured": [_measurement(each) for each in self.measured],
            "others": [other.as_json() for other in self.others],
        }
        found: dict[str, Any] = tree_map(_finite, values)
        return found

    def __str__(self) -> str:
        lines = [self.part] * bool(self.part) + ["rewrites"]
        lines += [f"  {r.count:>4}  {r.name}{r.failure and f' (not kept: {r.failure})'}" for r in self.rewrites]
        lines.append(f"{self.unit}/s, batch {self.batch}, {self.dtype}, {self.device}")
        for m in self.measured:
            mark = "*" if m.way == self.chosen else " "
            speed = "   --" if m.images_per_second is None else f"{m.images_per_second:.5g}"
            lines.append(f"{mark} {speed:>8}  {m.way}{m.failure and f' ({m.failure})'}")
            lines += [f"{'':12}{line}" for line in _on_precision(m)]
        lines += [f"  {line}" for line in self.missing]
        return "\n".join([*lines, *map(str, self.others)])


def _measurement(measured: Measurement) -> dict[str, Any]:
    values = {**vars(measured), "way": str(measured.way), "precision": measured.way.precision}
    for name in ("judgement", "without"):
        values[name] = None if values[name] is None else asdict(values[name])
    return values


def _finite(leaf: Any) -> Any:
    return None if isinstance(leaf, float) and not math.isfinite(leaf) else leaf


def _on_precision(measured: Measurement) -> list[str]:
    """Return lines on how faithful a way in reduced precision is, and what was done for it."""
    judgement, kept, without = measured.judgement, measured.kept, measured.without
    if judgement is None:
        return []
    lines = [f"refused: {judgement.failure}"] * bool(judgement.failure) + [str(judgement)]
    if without is not None:
        shown = ", ".join(f"{name} ({cost:.1e})" for name, cost in kept[:_SHOWN])
        shown += f" and {len(kept) - _SHOWN} more" if len(kept) > _SHOWN else ""
        lines.append(f"in floating point, with what each costs in int8: {shown}; without that, {without.failure}")
    return lines
