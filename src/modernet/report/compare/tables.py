"""The tables of a comparison: for the terminal, for the page and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from modernet.differences import joined
from modernet.report.compare.analysis import LATENCY, SPEED, Candidate, Comparison, differences_to_best
from modernet.report.compare.compared import Compared
from modernet.report.compare.words import about_interval, about_mean, conclusion, conditions, settled_by, span
from modernet.report.notation import MISSING, heading, interval, number, points, quantity, signed
from modernet.report.notation import measured as significant

if TYPE_CHECKING:
    from rich.table import Table

# name of the measurement, heading, kind of number; columns that nobody has are left out
_COLUMNS = (
    (SPEED, "Images/s", "measured"),
    ("best_images_per_second", "Best images/s", "measured"),
    (LATENCY, "Latency, ms", "measured"),
    ("peak_memory_mb", "Memory, MB", "measured"),
    ("train_images_per_second", "Training images/s", "measured"),
    ("params", "Parameters", "quantity"),
    ("macs", "MACs", "quantity"),
    ("corrupted", "Corrupted", "score"),
    ("ece", "ECE", "own"),
)
_IN_TERMINAL = (SPEED, LATENCY, "params", "corrupted")


class Row(NamedTuple):
    """A candidate as text.

    Attributes:
        name, letters: of the candidate; no letters if it failed.
        detail: its network where the label is another, its weights and their licence.
        score, interval: the mean and what is known of it; std: over seeds.
        to_best: difference to the best candidate, and its interval.
        cells: one for each of `columns`.
        failed: why runs failed; empty if none did.
        dominated_by: as `Candidate.dominated_by`, as text.
    """

    name: str
    letters: str
    detail: str
    score: str
    interval: str
    std: str
    to_best: tuple[str, str]
    cells: tuple[str, ...]
    failed: tuple[str, ...]
    dominated_by: str


class PairRow(NamedTuple):
    """A pair as text; `apart` is Holm's decision, and `settled_by` what would change it."""

    first: str
    second: str
    difference: str
    interval: str
    p: str
    apart: str
    settled_by: str


def columns(comparison: Comparison) -> list[tuple[str, str]]:
    """Return the measurements that some candidate has: name and heading."""
    titles = {"corrupted": f"Corrupted {comparison.metric.title}"}
    return [
        (name, titles.get(name, title))
        for name, title, _ in _COLUMNS
        if any(each.measurement(name) is not None for each in comparison.all)
    ]


def rows(comparison: Comparison) -> list[Row]:
    """Return the rows of the ranked table, the best first, then candidates without a result."""
    return [_row(comparison, each) for each in comparison.candidates] + [
        Row(
            each.candidate, "", _detail(each.candidate, each.model, each.weights, each.licence), "failed", "", "",
            ("", ""), tuple(_cell(comparison, each, name) for name, _ in columns(comparison)),
            tuple(f"{what}: {why}" for what, why in each.failed.items()), "",
        )
        for each in comparison.failed
    ]  # fmt: skip


def pair_rows(comparison: Comparison) -> list[PairRow]:
    """Return every pair, in the order of the ranking."""
    digits = comparison.digits
    answers = {True: "yes", False: "no", None: MISSING}
    return [
        PairRow(
            pair.first,
            pair.second,
            signed(pair.difference, digits),
            interval(pair.interval, digits),
            p_value(pair.p),
            answers[pair.distinguished],
            settled_by(pair),
        )
        for pair in comparison.pairs
    ]


def p_value(p: float | None) -> str:
    """Format a p-value: `0.013`, `< 0.001`."""
    return MISSING if p is None else "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.995 else "1.0"


def legend(comparison: Comparison) -> str:
    """Return what the columns mean."""
    metric, n = comparison.metric, number(comparison.any.n_test, 0)
    best = comparison.candidates[0].name if comparison.candidates else "the best"
    unit = points(metric)
    over = about_mean(comparison)
    ends = f", with its 95 % interval {over}" if over else ""
    return (
        f"Test {metric.title} on {n} images, mean over seeds{ends}; std: between seeds. "
        "Candidates that share a letter cannot be told apart (Holm's test over all pairs, 5 %). "
        f"Difference: to {best}{unit and f', in {unit}'}, with its 95 % interval {about_interval(comparison)}."
    )


def compare_table(comparison: Comparison) -> Table:
    """Return the table for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = [name for name, _ in columns(comparison)]
    chosen = [shown.index(name) for name in _IN_TERMINAL if name in shown]
    failures = [f"Failed: {row.name}: {why}" for row in rows(comparison) for why in row.failed]
    notes = "\n".join([conclusion(comparison), "", legend(comparison), *failures])
    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, min_width=78,
        title=Text(f"{comparison.any.data.get('name', 'unnamed data')}: {conditions(comparison)}"),
        caption=Text(notes), title_justify="left", caption_justify="left",
    )  # fmt: skip
    table.add_column("Network", overflow="fold")
    table.add_column("", no_wrap=True)
    score = heading(comparison.metric.title)
    titles = [f"{score}\n95 % interval" if about_mean(comparison) else score, "Std", "Difference\n95 % interval"]
    titles += [columns(comparison)[index][1].replace(" ", "\n", 1) for index in chosen]
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows(comparison):
        cells = [row.name, row.letters, f"{row.score}\n{row.interval}".rstrip(), row.std, "\n".join(row.to_best)]
        # Text, not str: rich reads markup in strings
        table.add_row(*(Text(cell) for cell in (*cells, *(row.cells[index] for index in chosen))))
    return table


def compare_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as a JSON-able object: candidates with all measurements, pairs, failures, conclusion."""
    common = comparison.any
    return {
        "comparison": comparison.digest,
        "task": common.task,
        "data": dict(common.data),
        "recipe": common.recipe,
        "budget": common.budget,
        "metric": comparison.metric.name,
        "n_test": common.n_test,
        "interval": about_interval(comparison),
        "candidates": [_as_object(each) for each in comparison.candidates],
        "pairs": [
            {
                "first": pair.first, "second": pair.second, "difference": pair.difference,
                "low": pair.interval and pair.interval.low, "high": pair.interval and pair.interval.high,
                "p": pair.p, "distinguished": pair.distinguished, "seeds_to_settle": pair.seeds,
                "test_images_to_settle": pair.images,
            }
            for pair in comparison.pairs
        ],
        "failed": {each.candidate: dict(each.failed) for each in comparison.all if each.failed or not each.score},
        "conclusion": conclusion(comparison),
    }  # fmt: skip


def _row(comparison: Comparison, candidate: Candidate) -> Row:
    digits, compared = comparison.digits, candidate.compared
    pair = differences_to_best(comparison).get(candidate.name)
    # from the candidate's side: negative is worse where higher is better
    gap = ("", "")
    if pair is not None:
        ends = pair.interval and type(pair.interval)(-pair.interval.high, -pair.interval.low)
        gap = (signed(-pair.difference, digits), interval(ends, digits))
    return Row(
        candidate.name,
        joined(candidate.letters),
        _detail(candidate.name, compared.model, compared.weights, compared.licence),
        number(candidate.mean, digits),
        span(candidate.interval, digits),
        number(candidate.std, max(digits, 1)),
        gap,
        tuple(_cell(comparison, compared, name) for name, _ in columns(comparison)),
        tuple(f"{what}: {why}" for what, why in compared.failed.items()),
        ", ".join(candidate.dominated_by),
    )


def _detail(name: str, model: str, weights: str | None, licence: str | None) -> str:
    facts = [] if model == name else [model]
    if weights is not None:
        facts.append(f"weights {weights}, {licence or 'licence not stated'}")
    return ", ".join(facts)


def _cell(comparison: Comparison, compared: Compared, name: str) -> str:
    found = compared.measurement(name)
    if found is None or not found.values:
        return MISSING
    value = sum(found.values) / len(found.values)
    kind = next(kind for column, _, kind in _COLUMNS if column == name)
    if kind == "quantity":
        return quantity(value)
    if kind == "score":
        return number(value, comparison.digits)
    return significant(value) if kind == "measured" else number(value, found.metric.digits_for(compared.n_test))


def _as_object(candidate: Candidate) -> dict[str, Any]:
    compared, ends = candidate.compared, candidate.interval
    return {
        "candidate": candidate.name, "model": compared.model, "weights": compared.weights, "licence": compared.licence,
        "epochs": compared.epochs, "tuned": dict(compared.tuned), "mean": candidate.mean, "std": candidate.std,
        "low": ends and ends.low, "high": ends and ends.high, "letters": list(candidate.letters),
        "seeds": {str(seed): score for seed, score in zip(compared.seeds, compared.score, strict=True)},
        "validation": list(compared.validation), "fronts": list(candidate.fronts),
        "dominated_by": list(candidate.dominated_by),
        "measured": {
            each.metric.name: {"values": list(each.values), "low": each.low, "high": each.high}
            for each in compared.measured
        },
    }  # fmt: skip
