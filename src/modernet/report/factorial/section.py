"""The sections of factorial studies."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from modernet.records import Record
from modernet.report.factorial.chart import effects_chart, notes, write_factorial_png
from modernet.report.factorial.place import FactorialPlace
from modernet.report.factorial.summary import Factorial, summarise_factorials
from modernet.report.factorial.tables import conditions, effect_rows, failures, findings, legend
from modernet.report.origin import origin
from modernet.report.section import Chart, Image, Section


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each factorial study; see `Kind`."""
    return [_section(study) for study in summarise_factorials(records)]


def _section(study: Factorial) -> Section:
    chart = effects_chart(study)
    caption = " ".join([f"Effects on test {study.metric.title}.", *notes(study)])
    networks = [f"network {FactorialPlace.from_record(record).network}" for record in study.records]
    content = {
        "study": study,
        "conditions": conditions(study),
        "findings": findings(study),
        "charts": [] if chart is None else [Chart(caption, chart)],
        "legend": legend(study),
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
        Image("factorial", functools.partial(write_factorial_png, study)),
    )
