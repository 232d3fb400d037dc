"""The sections of tests of robustness."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from modernet.records import Record
from modernet.report.notation import heading
from modernet.report.origin import origin
from modernet.report.robustness.charts import (
    calibration_curves,
    severity_curves,
    size_and_shift_curves,
    write_robustness_png,
)
from modernet.report.robustness.probe_tables import (
    bias_table,
    calibration_table,
    resolution_table,
    translation_table,
)
from modernet.report.robustness.summary import KIND, Comparison, comparisons, suite_words
from modernet.report.robustness.tables import findings, means_table, severity_table, summary_table
from modernet.report.section import Image, Section


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for the networks that were tested on the same images; see `Kind`."""
    return [_section(comparison) for comparison in comparisons(records)]


def _section(comparison: Comparison) -> Section:
    records = [network.record for network in comparison.networks]
    probes = [resolution_table(comparison), translation_table(comparison)]
    content = {
        "conditions": _conditions(comparison),
        "findings": findings(comparison),
        "summary": summary_table(comparison),
        "corruptions": [
            (
                f"{heading(comparison.measure.short)} by severity, {suite_words(suite)}",
                severity_curves(comparison, suite),
                means_table(comparison, suite) if len(comparison.networks) > 1 else None,
                severity_table(comparison, suite),
            )
            for suite in comparison.suites
        ],
        "calibration": calibration_table(comparison),
        "reliability": calibration_curves(comparison),
        "probes": [table for table in probes if table is not None],
        "probe_curves": size_and_shift_curves(comparison),
        "bias": bias_table(comparison),
        "origin": origin(records, [network.label for network in comparison.networks], ", ".join),
    }
    title = f"Robustness on {comparison.data}"
    image = Image(KIND, functools.partial(write_robustness_png, comparison))
    drawn = comparison.suites or content["reliability"] or content["probe_curves"]
    return Section(KIND, title, f"Robustness: {comparison.data}", content, records, image if drawn else None)


def _conditions(comparison: Comparison) -> list[str]:
    """Return how the images were made, a line for each way; it begins with the networks if there are several."""
    labels: dict[str, list[str]] = {}
    for network in comparison.networks:
        settings = network.record.settings
        protocol = settings.get("protocol", {})
        parts = [f"{name}: {what}" for name, what in protocol.items()] if isinstance(protocol, Mapping) else [protocol]
        if any("ce" in row for row in network.record.details.get("corruption_means", [])):
            parts.append(f"errors relative to those of {settings['baseline']}")
        if settings.get("frost"):
            parts.append(f"frost: {settings['frost']}")
        labels.setdefault(" · ".join(map(str, parts)), []).append(network.label)
    several = len(labels) > 1
    return [" · ".join([", ".join(names), line] if several else [line]) for line, names in labels.items() if line]
