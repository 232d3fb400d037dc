"""The sections of factorial studies."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from modernet.records import Record
from modernet.report.factorial.chart import factorial_chart
from modernet.report.factorial.figure import factorial_figure
from modernet.report.factorial.summary import Factorial, summarise_factorials
from modernet.report.factorial.tables import LEGEND, conditions, effect_rows, failures, findings
from modernet.report.origin import origin
from modernet.report.section import Chart, Image, Section


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each factorial study; see `Kind`."""
    return [_section(study) for study in summarise_factorials(records)]


def _section(study: Factorial) -> Section:
    figure = factorial_figure(study)
    caption = "Effects on test top-1; line: 95 % interval; …: two-way interactions that are not distinguishable."
    networks = [f"network {record.settings['network']}" for record in study.records]
    content = {
        "study": study,
        "conditions": conditions(study),
        "findings": findings(study),
        "charts": [Chart(caption, figure)] if figure["data"] else [],
        "legend": LEGEND,
        "effects": effect_rows(study),
        "failures": failures(study),
        "origin": origin(study.records, networks, lambda names: "every network"),
    }
    return Section(
        "factorial",
        f"Decisions of the road together, on {study.data}",
        f"Decisions together: {study.size}, {study.data}",
        content,
        study.records,
        Image("factorial", functools.partial(factorial_chart, study)),
    )
