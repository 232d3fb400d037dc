"""Draw charts of costs next to the records of benchmarks/sequence_costs.py, and write the tables of
docs/sequences.md from them: `make docs`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modernet.records import RECORD_NAME, Record, read_record
from modernet.report.drawing.axes import log_ticks
from modernet.report.drawing.figure import Spec, figure, quantitative
from modernet.report.drawing.png import Panel, write_png
from modernet.report.drawing.theme import CLEAR, EDGE, INK

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
PAGE = ROOT / "docs/sequences.md"
BEGIN, END = "<!-- costs: made by docs/make_sequences.py -->\n", "<!-- end of costs -->"
SOFTMAX = "transformer"
RIVALS = {"linear": "Linear", "performer": "Performer", "nystromformer": "Nystromformer"}
CHART = "growth.png"
COMPARED = 4096
STEEP = 1.5  # exponent of n between linear and quadratic
HEIGHT, LINE = 520, 13  # pixels of a chart, and of a line of text
LABELS = 1.07  # where names begin, in lengths of their line


def costs(record: Record, kind: str) -> dict[str, dict[int, float]]:
    """Return a cost of training a layer by model and length; `kind` is `"seconds"` or `"MB"`."""
    found: dict[str, dict[int, float]] = {}
    for key, value in record.metrics.items():
        unit, _, rest = key.partition(", training: ")
        if unit == kind and rest:
            name, _, n = rest.rpartition(", ")
            found.setdefault(name, {})[int(n)] = value
    return found


def exponent(values: Mapping[int, float]) -> float | None:
    """Return the power of the length by which a cost grows between the two longest; None without two."""
    if len(values) < 2:
        return None
    (n, before), (m, after) = sorted(values.items())[-2:]
    return math.log(after / before) / math.log(m / n) if min(before, after) > 0 else None


def growth_chart(values: Mapping[str, Mapping[int, float]], title: str) -> Spec:
    """Draw a line for each model, both axes logarithmic, with its name at its end."""
    rows: list[dict[str, Any]] = [
        {"name": name, "n": n, "value": value, "color": _color(name, each)}
        for name, each in sorted(values.items(), key=lambda each: each[0] == SOFTMAX)  # drawn last
        for n, value in each.items()
    ]
    lengths = sorted({row["n"] for row in rows})
    low, high = (end(row["value"] for row in rows) for end in (min, max))
    ends = [row for row in rows if row["n"] == max(values[row["name"]])]
    places = spread(
        {row["name"]: math.log(row["value"]) for row in ends if row["n"] == lengths[-1]},
        gap=LINE / HEIGHT * math.log(high / low),
    )
    labels = [
        {**row, "end": LABELS * row["n"], "label": math.exp(places.get(row["name"], math.log(row["value"])))}
        for row in ends
    ]
    limits = [min(low, *(label["label"] for label in labels)), max(high, *(label["label"] for label in labels))]
    scale_x: Spec = {"type": "log", "nice": False, "domain": [lengths[0], 1.55 * lengths[-1]]}
    scale_y: Spec = {"type": "log", "nice": False, "domain": limits}
    x = quantitative("n", "steps", scale=scale_x, axis={"values": lengths, "format": ",d", "grid": False})
    y = quantitative("value", title, scale=scale_y, axis={"values": log_ticks(low, high), "format": ",~r"})
    color = {"field": "color", "type": "nominal", "scale": None, "legend": None}
    place: Spec = {"x": x, "y": y, "color": color}
    at_label: Spec = {"x": {**x, "field": "end"}, "y": {**y, "field": "label"}, "color": color}
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "strokeWidth": 1.6},
            "encoding": {**place, "detail": {"field": "name", "sort": None}},
        },
        {"mark": {"type": "point", "filled": True, "size": 18}, "encoding": place},
        {
            "data": {"values": labels},
            "mark": {"type": "rule", "strokeWidth": 0.5, "opacity": 0.6},
            "encoding": {**place, "x2": {"field": "end"}, "y2": {"field": "label"}},
        },
        {
            "data": {"values": labels},
            "mark": {"type": "text", "align": "left", "dx": 3, "fontSize": 11, "text": {"expr": "datum.name"}},
            "encoding": at_label,
        },
    ]
    return figure(rows, layers, height=HEIGHT)


def spread(places: Mapping[str, float], gap: float) -> dict[str, float]:
    """Move places apart, as little as possible in least squares and keeping their order, until all are `gap` apart."""
    order = sorted(places, key=lambda name: places[name])
    groups: list[list[float]] = []  # of places less those of their order, pooled until their means increase
    for index, name in enumerate(order):
        groups.append([places[name] - index * gap])
        while len(groups) > 1 and statistics.mean(groups[-2]) > statistics.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    means = [statistics.mean(group) for group in groups for _ in group]
    return {name: mean + index * gap for index, (name, mean) in enumerate(zip(order, means, strict=True))}


def cost_table(record: Record) -> str:
    """Return a table with a row for each model, the fastest at `COMPARED` first."""
    seconds, memory = (costs(record, kind) for kind in ("seconds", "MB"))
    lines = [
        f"| model | ms at {COMPARED:,} | grows as n to the | MB at {COMPARED:,} | grows as n to the |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in sorted(seconds, key=lambda each: seconds[each].get(COMPARED, math.inf)):
        cells = [f"`{name}`"]
        for values, scale in ((seconds[name], 1e3), (memory.get(name, {}), 1.0)):
            power = exponent(values)
            cells.append(f"{scale * values[COMPARED]:.1f}" if COMPARED in values else "–")
            cells.append("–" if power is None else f"{power:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    skipped = [f"{name} ({why})" for name, why in record.settings["skipped"].items()]
    lines += ["", f"Training one layer, {_conditions(record)}."]
    lines += [f"Not measured: {', '.join(skipped)}."] if skipped else []
    return "\n".join(lines) + "\n"


def ratio_table(record: Record) -> str:
    """Return the speed of attention alone relative to softmax attention, and where they cross."""
    ways = {"training, attention alone": "forward and backward", "inference, attention alone": "forward"}
    lines = [f"| | | times as fast at {COMPARED:,} | faster from |", "|---|---|---|---:|"]
    for name, title in RIVALS.items():
        for way, words in ways.items():
            key = f"{way}: {name}"
            median, low, high = (record.metrics.get(f"ratio{end}, {key}, {COMPARED}") for end in ("", " low", " high"))
            if median is None:
                continue
            lines.append(f"| {title} | {words} | {median:.2f} [{low:.2f}, {high:.2f}] | {_crossing(record, key)} |")
    lines += [
        "",
        "Attention alone, from given queries, keys and values, against `scaled_dot_product_attention`; medians over "
        f"rounds in turns with their 95 % interval; {_conditions(record)}.",
    ]
    return "\n".join(lines) + "\n"


def _crossing(record: Record, key: str) -> str:
    crossed = record.metrics.get(f"crossing, {key}")
    lengths = sorted({*record.settings["short"], *record.settings["lengths"]})
    if crossed is None:
        return f"beyond {lengths[-1]:,}"
    return f"{crossed:,.0f} steps" if crossed else f"below {lengths[0]:,}"


def _conditions(record: Record) -> str:
    settings, environment = record.settings, record.environment
    return (
        f"{settings['width']} channels, {settings['heads']} heads, batch {settings['batch']}, {settings['precision']}, "
        f"{environment['device']}, torch {environment['versions']['torch']}, {environment['created'][:10]}"
    )


def _color(name: str, values: Mapping[int, float]) -> str:
    power = exponent(values)
    if name == SOFTMAX:
        return INK
    return CLEAR if power is not None and power > STEEP else EDGE


def write_chart(record: Record, path: Path) -> None:
    """Write the growth of time and memory as a PNG."""
    notes = [
        f"Black: softmax attention through scaled_dot_product_attention. Orange: grows faster than n to the {STEEP} "
        "between the two longest. Blue: slower."
    ]
    milliseconds = {
        name: {n: 1e3 * value for n, value in each.items()} for name, each in costs(record, "seconds").items()
    }
    panels = [Panel(growth_chart(milliseconds, "milliseconds of a step of training"), "Time", notes)]
    memory = {name: {n: value for n, value in each.items() if value > 0} for name, each in costs(record, "MB").items()}
    memory = {name: each for name, each in memory.items() if each}
    if memory:
        panels.append(Panel(growth_chart(memory, "MB that a step of training needs"), "Memory", notes))
    write_png(path, "One layer over the length", _conditions(record), panels)


def with_tables(page: str) -> str:
    """Return the page with what is between its two markers replaced by the charts and tables of all records."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = "".join(map(section, _folders())) or "Not measured yet.\n"
    return f"{before}{BEGIN}{made}{END}{after}"


def section(folder: Path) -> str:
    """Return the chart and the tables of the record in a folder."""
    record = read_record(folder / RECORD_NAME)
    return (
        f"\n### {record.environment['device']}, {record.settings['precision']}\n\n"
        f"![time and memory over the length](../{folder.relative_to(ROOT).as_posix()}/{CHART})\n\n"
        f"{ratio_table(record)}\n{cost_table(record)}\n"
    )


def _folders() -> list[Path]:
    return sorted(RESULTS.glob("*-sequences"))


def main() -> None:
    for folder in _folders():
        write_chart(read_record(folder / RECORD_NAME), folder / CHART)
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
