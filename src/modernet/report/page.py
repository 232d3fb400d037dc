"""Records -> one HTML file that opens from the disk, without any request to the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.records import Record
from modernet.report import notation
from modernet.report.benchmark.figure import accuracy_figure, speed_figure
from modernet.report.benchmark.summary import KIND, Benchmark, summarise_benchmarks
from modernet.report.benchmark.tables import Column, facts, legend, measured_columns, network_column
from modernet.report.drawing.figure_style import Figure
from modernet.report.factorial.figure import factorial_figure
from modernet.report.factorial.summary import Factorial, belongs_to_a_factorial, summarise_factorials
from modernet.report.factorial.tables import LEGEND, EffectRow, effect_rows, failures, study_findings, study_place
from modernet.report.notation import case_names, group_words
from modernet.report.road.figure import cost_figure, curves_figure, ramp, road_figure
from modernet.report.road.findings import findings
from modernet.report.road.summary import Road, belongs_to_a_road, devices, summarise_road
from modernet.report.training.labels import labels, written_value

_ABOUT_ACCURACY = (
    "Accuracy: published with the network, not measured here; a network without one is not drawn. Each network at the "
    "fastest of its settings. Numbers are the table's rows; area: parameters; whisker: quartiles."
)


@dataclass(frozen=True)
class _Chart:
    """A figure with the sentence below it, which is also what a screen reader says in its place."""

    caption: str
    figure: Figure


@dataclass(frozen=True)
class _Curves:
    """Learning curves of the same lines side by side; the buttons above them pick lines out in all of them."""

    keys: Sequence[tuple[str, str]]  # name and colour of each line
    charts: Sequence[_Chart]


@dataclass(frozen=True)
class _Origin:
    """Where numbers come from: facts by name, the pictures that were skipped because they could not be read, and the
    recipes as a table with a column for each different one."""

    facts: Mapping[str, Sequence[str]]
    unreadable: Sequence[str]
    recipes: Sequence[str]
    leaves: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _RoadSection:
    road: Road
    findings: str
    charts: Sequence[_Chart]
    curves: _Curves | None
    origin: _Origin


@dataclass(frozen=True)
class _FactorialSection:
    study: Factorial
    place: str
    findings: str
    charts: Sequence[_Chart]
    legend: str
    effects: Sequence[EffectRow]
    failures: Sequence[str]
    origin: _Origin


@dataclass(frozen=True)
class _BenchmarkSection:
    title: str
    facts: Sequence[str]
    legend: str
    networks: Column
    columns: Sequence[Column]
    errors: Sequence[str | None]
    charts: Sequence[_Chart]
    origin: _Origin


@dataclass(frozen=True)
class _TrainingSection:
    data: str
    runs: Sequence[tuple[str, Record]]  # by label
    curves: _Curves | None
    origin: _Origin


def write_page(records: Sequence[Record], path: Path) -> None:
    """Write one HTML file with all that the records hold: every road, every factorial study of its decisions, every
    benchmark (the newest first), training runs by data set, and the rest.

    The file holds its scripts and styles itself (plotly.js once, about 4.8 MB) and asks nothing of the network. It is
    written whole or not at all.

    Raises:
        InputError: there are no records, or a record does not say which step of a road, or which run of a benchmark, it
            is of.
    """
    if not records:
        raise InputError("there are no records to report; give the folder that a run wrote, such as runs/roadmap")

    import jinja2
    from plotly.offline import get_plotlyjs

    roads = [_road_section(road) for road in summarise_road(records)]
    training: dict[str, list[Record]] = {}
    others = []
    for record in records:
        if record.kind not in ("train", KIND):
            others.append(record)
        elif record.kind == "train" and not (belongs_to_a_road(record) or belongs_to_a_factorial(record)):
            training.setdefault(str(record.settings.get("data", {}).get("name", "unnamed data")), []).append(record)

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("modernet.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = templates.get_template("page.html.j2").render(
        roads=roads,
        factorials=[_factorial_section(study) for study in summarise_factorials(records)],
        benchmarks=[_benchmark_section(benchmark) for benchmark in summarise_benchmarks(records)],
        training=[_training_section(data, runs) for data, runs in training.items()],
        others=others,
        write=notation,
        plotly_js=get_plotlyjs(),
    )
    with whole_file(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


def _road_section(road: Road) -> _RoadSection:
    figure = road_figure(road)
    start = figure["layout"]["xaxis"]["range"][0]
    about_axis = f" The axis starts at {start:g} %, not at 0." if start else ""
    about_paper = f" Diamonds: the paper's {road.published_of}." if road.published_of else ""
    charts = [
        _Chart(
            "Mean test top-1 of each step; whisker: ± standard deviation over seeds; dots: the seeds."
            + about_paper
            + about_axis,
            figure,
        )
    ]
    cost = cost_figure(road)
    if cost["data"]:
        charts.append(
            _Chart("Accuracy against cost. Numbers are the steps' rows; the line follows the adopted steps.", cost)
        )
    lines = {f"{step.row} {step.title}": step.runs for step in road.steps if step.runs}
    users = [str(record.settings["row"]) for record in road.records]
    return _RoadSection(
        road, findings(road), charts, _curves(lines, averaged=True), _origin(road.records, users, _steps)
    )


def _factorial_section(study: Factorial) -> _FactorialSection:
    figure = factorial_figure(study)
    caption = "Effects on test top-1; line: 95 % interval; … where two-way interactions cannot be told apart."
    users = [f"network {record.settings['network']}" for record in study.records]
    return _FactorialSection(
        study,
        study_place(study),
        study_findings(study),
        [_Chart(caption, figure)] if figure["data"] else [],
        LEGEND,
        effect_rows(study),
        failures(study),
        _origin(study.records, users, lambda names: "every network"),
    )


def _benchmark_section(benchmark: Benchmark) -> _BenchmarkSection:
    charts = []
    for cases in benchmark.groups:
        where = f" ({words})" if (words := group_words(benchmark, cases)) else ""
        speed, accuracy = speed_figure(benchmark, cases), accuracy_figure(cases)
        charts.append(_Chart(f"Images a second{where}: median over rounds; whisker: quartiles.", speed))
        if accuracy["data"]:
            charts.append(_Chart(f"Accuracy against speed{where}. {_ABOUT_ACCURACY}", accuracy))
    return _BenchmarkSection(
        benchmark.title,
        facts(benchmark),
        legend(benchmark),
        network_column(benchmark),
        measured_columns(benchmark),
        [case.error for case in benchmark.cases],
        charts,
        _origin(benchmark.cases, case_names(benchmark), ", ".join),
    )


def _training_section(data: str, runs: Sequence[Record]) -> _TrainingSection:
    users = labels(runs)
    labelled = list(zip(users, runs, strict=True))
    lines = {label: [run] for label, run in labelled if run.history}
    return _TrainingSection(data, labelled, _curves(lines, averaged=False), _origin(runs, users, ", ".join))


def _curves(lines: Mapping[str, Sequence[Record]], *, averaged: bool) -> _Curves | None:
    """The loss on the training split and top-1 on the validation split; None where no run kept a history."""
    over = ", averaged over seeds" if averaged else ""
    loss = curves_figure(lines, "train_loss", "training loss", logarithmic=True)
    top1 = curves_figure(lines, "validation_top1", "validation top-1, %")
    charts = [_Chart(f"Training loss by epoch{over}.", loss), _Chart(f"Validation top-1 by epoch{over}.", top1)]
    drawn = [chart for chart in charts if any(trace["x"] for trace in chart.figure["data"])]
    return _Curves(list(zip(lines, ramp(len(lines)), strict=True)), drawn) if drawn else None


def _origin(records: Sequence[Record], users: Sequence[str], heading: Callable[[Sequence[str]], str]) -> _Origin:
    """`users` names each record in the table of recipes; `heading` makes the head of a column of its users."""
    environments = [record.environment for record in records]
    dates = sorted(str(environment["created"])[:10] for environment in environments if "created" in environment)
    versions = (
        f"{name} {version}"
        for environment in environments
        for name, version in sorted(environment.get("versions", {}).items())
    )
    data = [record.settings.get("data", {}) for record in records]
    failed = sum(record.error is not None for record in records)
    facts = {
        "Runs": [f"{len(records)}" + (f", of which {failed} failed" if failed else "")],
        "Data": _each_once(map(_sentence, data)),
        "Device": devices(records),
        "Platform": _each_once(environment.get("platform") for environment in environments),
        "Versions": _each_once(versions),
        "Commit": _each_once(environment.get("commit") for environment in environments),
        "Date": _each_once([dates[0], dates[-1]]) if dates else [],
    }
    unreadable = _each_once(name for facts_of_one in data for name in _unreadable(facts_of_one))
    known = {name: values for name, values in facts.items() if values}
    return _Origin(known, unreadable, *_recipes(records, users, heading))


def _each_once(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value))


def _sentence(data: Mapping[str, Any]) -> str:
    facts = dict(data) | {"unreadable": len(_unreadable(data)) or data.get("unreadable") or None}
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)


def _unreadable(data: Mapping[str, Any]) -> list[str]:
    """The skipped pictures by name; none where an early record holds only how many there were."""
    names = data.get("unreadable")
    return names if isinstance(names, list) else []


def _recipes(
    records: Sequence[Record], users: Sequence[str], heading: Callable[[Sequence[str]], str]
) -> tuple[list[str], dict[str, list[str]]]:
    """The different recipes of some runs: a heading for each, which says whose it is, and their values leaf by leaf."""
    found: list[tuple[dict[str, Any], list[str]]] = []
    for record, user in zip(records, users, strict=True):
        recipe = record.settings.get("recipe")
        if not recipe:
            continue
        for known, names in found:
            if known == recipe:
                if user not in names:
                    names.append(user)
                break
        else:
            found.append((recipe, [user]))
    leaves = dict.fromkeys(leaf for recipe, _ in found for leaf in recipe)
    headings = [heading(names) for _, names in found]
    return headings, {leaf: [written_value(recipe.get(leaf)) for recipe, _ in found] for leaf in leaves}


def _steps(rows: Sequence[str]) -> str:
    return f"step {rows[0]}" if len(rows) == 1 else f"steps {rows[0]} to {rows[-1]}"
