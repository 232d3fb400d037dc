"""What the outcomes of a classifier's test say together: the metrics and details of its record."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from modernet.data.transforms.corruptions import CORRUPTIONS, SEVERITIES, suite_names
from modernet.evaluation.robustness import corruption_summary
from modernet.records import Metric
from modernet.studies.robustness.baseline import Baseline
from modernet.studies.robustness.request import CORRUPTION_SUITES, PROBES
from modernet.studies.robustness.units import Outcome, read_hits

_TITLES = {
    "c": "C",
    "extra": "the 4 extra corruptions",
    "cbar": "C-bar",
    "a": "ImageNet-A",
    "r": "ImageNet-R",
    "sketch": "ImageNet-Sketch",
    "v2": "ImageNet-V2",
}
_PUBLISHED = "published_"
_RESOLUTION = re.compile(r"resolution_\d+_top1")


class Summary(NamedTuple):
    """What goes into a record.

    Attributes:
        suites: what was measured.
        metrics: by name.
        task_metrics: what the main ones mean, the primary one first.
        details: see `Record.details`.
    """

    suites: list[str]
    metrics: dict[str, float]
    task_metrics: tuple[Metric, ...]
    details: dict[str, Any]


def summarise(outcomes: Sequence[Outcome], baseline: Baseline | None) -> Summary:
    """Return what the outcomes of a classifier's units say together.

    Args:
        outcomes: of at least one unit, in any order.
        baseline: its errors normalise the corruption errors; None: none does.
    """
    metrics: dict[str, float] = {}
    details: dict[str, Any] = {}
    suites: list[str] = []
    meanings: list[Metric] = []
    for suite, cells in cells_by_suite(outcomes).items():
        clean = next(outcome for outcome in outcomes if outcome["kind"] == "clean")
        summary = corruption_summary(
            {cell: read_hits(outcome) for cell, outcome in cells.items()},
            read_hits(clean),
            {} if baseline is None else baseline.errors,
            0.0 if baseline is None else baseline.clean,
        )
        metrics |= summary.metrics(suite)
        for name, rows in summary.detail(suite).items():
            details.setdefault(name, []).extend(rows)
        suites.append(suite)
        meanings += _corruption_metrics(suite, suite_title(suite, cells))
    for outcome in (outcome for outcome in outcomes if outcome["kind"] == "shifted"):
        metrics |= outcome["metrics"]
        names = ("name", "title", "classes", "chosen_among")
        details.setdefault("shifted", []).append({name: outcome[name] for name in names})
        suites.append(outcome["name"])
        meanings += _shifted_metrics(outcome["name"], _TITLES.get(outcome["name"]) or outcome["title"])
    by_kind = {outcome["kind"]: outcome for outcome in outcomes}
    for kind in (kind for kind in PROBES if kind in by_kind):
        metrics |= by_kind[kind]["metrics"]
        details[kind] = by_kind[kind]["detail"]
        suites.append(kind)
    meanings += _probe_metrics(metrics)
    return Summary(suites, metrics, tuple(metric for metric in meanings if metric.name in metrics), details)


def cells_by_suite(outcomes: Sequence[Outcome]) -> dict[str, dict[tuple[str, int], Outcome]]:
    """Return the corrupted images' outcomes by suite, corruption and severity, in the order of the papers."""
    found: dict[str, dict[tuple[str, int], Outcome]] = {}
    order = {name: place for place, name in enumerate(suite_names(*CORRUPTION_SUITES))}
    corrupted = [outcome for outcome in outcomes if outcome["kind"] == "corruption"]
    corrupted.sort(key=lambda outcome: (order[outcome["corruption"]], outcome["severity"]))
    for prefix in ("", _PUBLISHED):
        for suite in CORRUPTION_SUITES:
            cells = {
                (outcome["corruption"], outcome["severity"]): outcome
                for outcome in corrupted
                if outcome["suite"] == prefix + suite
            }
            if cells:
                found[prefix + suite] = cells
    return found


def suite_title(suite: str, cells: Collection[tuple[str, int]]) -> str:
    """Return the title of a suite of corruptions, for people: `C (2 of 15 corruptions; severities 1, 5)`.

    Args:
        cells: the corruptions and severities that were measured; the title says which unless it is all.
    """
    own = suite.removeprefix(_PUBLISHED)
    whole = [name for name in suite_names(*CORRUPTION_SUITES) if CORRUPTIONS[name].suite == own]
    tested: dict[str, list[int]] = {}
    for name, severity in sorted(cells):
        tested.setdefault(name, []).append(severity)
    parts = [] if len(tested) == len(whole) else [f"{len(tested)} of {len(whole)} corruptions"]
    severities = {tuple(found) for found in tested.values()}
    if len(severities) > 1:
        parts.append("at different severities")
    elif severities != {SEVERITIES}:
        (found,) = severities
        parts.append(f"{'severity' if len(found) == 1 else 'severities'} {', '.join(map(str, found))}")
    title = _TITLES[own] if own == suite else f"{_TITLES[own]}, published"
    return f"{title} ({'; '.join(parts)})" if parts else title


def _probe_metrics(metrics: Iterable[str]) -> list[Metric]:
    """Return what the main metrics of clean images mean.

    Args:
        metrics: names of what was measured.
    """
    return [
        Metric("clean_top1", "clean top-1"),
        Metric("calibration_ece", "expected calibration error", higher_is_better=False),
        Metric("translation_1_consistency", "same answer, shifted by one pixel"),
        Metric("bias_unchanged_top1", "top-1 of the unchanged images"),
        *(Metric(name, f"top-1 at {name.split('_')[1]} pixels") for name in metrics if _RESOLUTION.fullmatch(name)),
    ]


def _shifted_metrics(name: str, title: str) -> list[Metric]:
    """Return what the metrics of other images mean."""
    return [
        Metric(f"{name}_top1", f"{title} top-1"),
        Metric(f"{name}_clean_top1", f"clean top-1 on the classes of {title}"),
    ]


def _corruption_metrics(suite: str, title: str) -> list[Metric]:
    """Return what the metrics of a suite of corruptions mean."""
    return [
        Metric(f"{suite}_mce", f"mCE, {title}", digits=1, higher_is_better=False, limits=(0.0, None)),
        Metric(
            f"{suite}_relative_mce", f"relative mCE, {title}", digits=1, higher_is_better=False, limits=(None, None)
        ),
        Metric(f"{suite}_mean_error", f"mean error, {title}", higher_is_better=False),
    ]
