"""Tables of a benchmark: for the terminal, for Markdown, and the columns for the page."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modernet.records import Record
from modernet.report.benchmark.case import BenchmarkCase
from modernet.report.benchmark.summary import (
    Benchmark,
    accuracy_of,
    benchmark_of,
    is_baseline,
    model_of,
    setting,
    unit_of,
    versions_of,
)
from modernet.report.benchmark.wording import case_names, case_settings, conditions, peaks
from modernet.report.notation import MISSING, heading, in_unit, markdown_text, measured, number, quantity, with_unit

if TYPE_CHECKING:
    from rich.table import Table

_HEADINGS = {
    "mode": "Mode", "dtype": "Dtype", "layout": "Layout", "compile": "Compile", "batch": "Batch",
    "image_size": "Pixels", "length": "Length", "threads": "Threads",
}  # fmt: skip

_TITLE_VERSIONS = ("modernet", "torch", "triton", "torchvision", "timm")  # those that determine the speed
_MIN_WIDTH = 80  # the notes below a narrow table would be wrapped after every word


@dataclass(frozen=True)
class Cell:
    """A value, and a detail in small print: its interval, or its share of a peak."""

    value: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.detail}".rstrip()


@dataclass(frozen=True)
class Column:
    """A heading and a cell for each case; `text` columns are aligned left, others right."""

    heading: str
    cells: tuple[Cell, ...]
    text: bool = False


def network_column(benchmark: Benchmark) -> Column:
    """Return the network of each case, with the settings in which cases differ as detail."""
    details = case_settings(benchmark)
    cells = (Cell(model_of(case), detail) for case, detail in zip(benchmark.cases, details, strict=True))
    return Column("Model", tuple(cells), text=True)


def setting_columns(benchmark: Benchmark) -> list[Column]:
    """Return a column for each setting in which cases differ, with the values of the command line."""
    return [
        _column(benchmark, _HEADINGS[name], functools.partial(_setting, name=name), text=True)
        for name in benchmark.differing
    ]


def measured_columns(benchmark: Benchmark) -> list[Column]:
    """Return the columns of measurements and counts, without empty ones.

    Counts of a network that is the only one are in `facts` instead.
    """
    metric = benchmark.cases[0].primary
    digits = metric.digits_for(None)
    columns = [
        _column(benchmark, f"{heading(benchmark.unit)}/s", _speed),
        _column(benchmark, "ms", lambda case: Cell(measured(case.metrics.get("latency_ms")))),
        _column(benchmark, "MB", lambda case: Cell(number(case.metrics.get("peak_memory_mb"), 0))),
    ]
    if len({model_of(case) for case in benchmark.cases}) > 1:
        columns += [
            _column(benchmark, "Params", lambda case: Cell(quantity(case.metrics.get("params")))),
            _column(benchmark, "MACs", lambda case: Cell(quantity(case.metrics.get("macs")))),
            _column(benchmark, heading(metric.title), lambda case: Cell(number(accuracy_of(case), digits))),
        ]
    columns += [
        _column(benchmark, "TFLOP/s", _arithmetic),
        _column(benchmark, "Bound by", lambda case: Cell(BenchmarkCase.from_record(case).bound or MISSING), text=True),
    ]
    if any("ratio" in case.metrics and not is_baseline(case) for case in benchmark.cases):
        columns.append(_column(benchmark, "Ratio", _ratio, text=True))
    return [column for column in columns if any(cell.value != MISSING for cell in column.cells)]


def facts(benchmark: Benchmark) -> list[str]:
    """Return the lines below the title: the network if there is only one, shared settings, peaks, versions."""
    network = ""
    if len({model_of(case) for case in benchmark.cases}) == 1:
        network = ", ".join([model_of(benchmark.cases[0]), *_network_facts(benchmark.cases)])
    versions = dict.fromkeys(filter(None, (versions_of(case, _TITLE_VERSIONS) for case in benchmark.cases)))
    return list(filter(None, (network, conditions(benchmark), peaks(benchmark), *versions)))


def legend(benchmark: Benchmark) -> str:
    """Return what the columns mean, in the order of the columns."""
    headings = {column.heading for column in measured_columns(benchmark)}
    rounds = {BenchmarkCase.from_record(case).rounds for case in benchmark.cases}
    over = f"{rounds.pop()} rounds" if len(rounds) == 1 and None not in rounds else "rounds"
    sentences = [f"{heading(benchmark.unit)}/s: median over {over} [quartiles].", "ms: one batch."]
    if "MB" in headings:
        sentences.append("MB: peak memory.")
    if "MACs" in headings and benchmark.unit != "images":
        sentences.append("MACs: products and convolutions, not Fourier transforms.")
    metric = benchmark.cases[0].primary
    if (title := heading(metric.title)) in headings:
        sentences.append(f"{title}: published, ImageNet-1K{in_unit(metric)}.")
    if "TFLOP/s" in headings:
        sentences.append("TFLOP/s: achieved (share of the measured peak).")
    if "Bound by" in headings:
        sentences.append("Bound by: which takes longer at the measured peaks.")
    if "Ratio" in headings:
        sentences.append(
            f"Ratio: times as fast as {_baseline(benchmark)}, median over rounds [95 % bootstrap interval]."
        )
    return " ".join(sentences)


def error_lines(benchmark: Benchmark) -> list[str]:
    """Return a line for each failed case."""
    return [
        f"Failed: {name}: {case.error}"
        for name, case in zip(case_names(benchmark), benchmark.cases, strict=True)
        if case.error is not None
    ]


def benchmark_table(records: Iterable[Record]) -> Table:
    """Return the table of one run for the terminal: it fits 120 columns and is complete without colour.

    The title has what all cases share. Each row has two lines: the second has the settings in which cases differ, and
    the intervals.

    Raises:
        ValueError: the records are not from exactly one run.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    benchmark = benchmark_of(records)
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        min_width=_MIN_WIDTH,
        title=Text("\n".join([benchmark.title, *facts(benchmark)])),
        caption=Text("\n".join([legend(benchmark), *error_lines(benchmark)])),
        title_justify="left",
        caption_justify="left",
    )
    columns = [network_column(benchmark), *measured_columns(benchmark)]
    for column in columns:
        justify: Literal["left", "right"] = "left" if column.text else "right"
        table.add_column(column.heading, justify=justify, no_wrap=column.heading != "Model", overflow="fold")
    for row in zip(*(column.cells for column in columns), strict=True):
        # Text, not str: rich reads markup in strings
        table.add_row(*(Text.assemble(cell.value, "\n" if cell.detail else "", (cell.detail, "dim")) for cell in row))
    return table


def benchmark_markdown(records: Iterable[Record]) -> str:
    """Return the same table in Markdown, independent of the order of the records.

    Raises:
        ValueError: the records are not from exactly one run.
    """
    benchmark = benchmark_of(records)
    models = Column("Model", tuple(Cell(model_of(case)) for case in benchmark.cases), text=True)
    columns = [models, *setting_columns(benchmark), *measured_columns(benchmark)]
    rows = [
        [markdown_text(column.heading) for column in columns],
        [":--" if column.text else "--:" for column in columns],
    ]
    rows += [
        [markdown_text(str(cell)) for cell in cells]
        for cells in zip(*(column.cells for column in columns), strict=True)
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    about = f"{benchmark.title}: {'; '.join(facts(benchmark))}."
    notes = [markdown_text(line) for line in (about, legend(benchmark), *error_lines(benchmark))]
    return "\n".join([*lines, "", "  \n".join(notes), ""])


def _column(benchmark: Benchmark, heading: str, write: Callable[[Record], Cell], *, text: bool = False) -> Column:
    return Column(heading, tuple(map(write, benchmark.cases)), text)


def _setting(case: Record, name: str) -> Cell:
    value = setting(case, name)
    return Cell(MISSING if value is None else str(value))


def _speed(case: Record) -> Cell:
    if case.error is not None:
        return Cell("failed")
    return _with_interval(case, f"{unit_of(case)}_per_second")


def _arithmetic(case: Record) -> Cell:
    share = case.metrics.get("peak_share")
    return Cell(measured(case.metrics.get("tflops")), "" if share is None else f"({number(100 * share, 0)} %)")


def _ratio(case: Record) -> Cell:
    return Cell("baseline") if is_baseline(case) else _with_interval(case, "ratio")


def _with_interval(case: Record, name: str) -> Cell:
    value, low, high = (case.metrics.get(f"{name}{end}") for end in ("", "_low", "_high"))
    interval = "" if low is None or high is None else f"[{measured(low, value)}, {measured(high, value)}]"
    return Cell(measured(value), interval)


def _network_facts(cases: Sequence[Record]) -> list[str]:
    """Format parameters, MACs and accuracy of the only network, where the cases agree on them."""
    known = []
    for name, template in (("params", "{} parameters"), ("macs", "{} MACs")):
        values = {case.metrics[name] for case in cases if name in case.metrics}
        if len(values) == 1:
            known.append(template.format(quantity(values.pop())))
    metric = cases[0].primary
    accuracies = {value for case in cases if (value := accuracy_of(case)) is not None}
    if len(accuracies) == 1:
        known.append(f"published {metric.title} {with_unit(accuracies.pop(), metric.digits_for(None), metric.unit)}")
    return known


def _baseline(benchmark: Benchmark) -> str:
    """Name the case that ratios refer to, or describe the cases if there are several."""
    named = set(filter(None, (BenchmarkCase.from_record(case).ratio_to for case in benchmark.cases)))
    if len(named) == 1:
        return named.pop()
    return f"{model_of(benchmark.cases[0])} under the same options, or the most similar ones"
