"""Tables of a road: for the terminal and for Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modernet.report.notation import MISSING, in_unit, markdown_text, number, quantity, signed
from modernet.report.road.summary import Road, RoadStep
from modernet.report.road.wording import conditions, difference, mean_and_std

if TYPE_CHECKING:
    from rich.table import Table

_HEADINGS = ("", "Step", "Test {title}", "n", "Difference [95 %]", "Params", "MACs", "Img/s", "Paper")
_LEGEND = (
    "Test {title}{unit}: mean ± standard deviation over n seeds. Difference: to the adopted step before, with its "
    "95 % Welch interval over seeds; * the interval excludes zero. (Parentheses): tried, not adopted. "
    "Paper: ImageNet-1K top-1{of} and its difference."
)


def _legend(road: Road) -> str:
    of = f" of {road.published_of}" if road.published_of else ""
    return _LEGEND.format(title=road.metric.title, unit=in_unit(road.metric), of=of)


def _headings(road: Road) -> list[str]:
    return [heading.format(title=road.metric.title) for heading in _HEADINGS]


def road_table(road: Road) -> Table:
    """Return the road as a table for the terminal: it fits 100 columns and is complete without colour."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title=Text(f"ResNet to ConvNeXt on {road.data}\n{conditions(road)}"),
        caption=Text("\n".join([_legend(road), *_error_lines(road)])),
        title_justify="left",
        caption_justify="left",
    )
    for column, heading in enumerate(_headings(road)):
        name = heading == "Step"
        table.add_column(heading, justify="left" if column in (0, 1, 4) else "right", no_wrap=not name, overflow="fold")
    for step in road.steps:
        style = "dim" if step.side_step else "bold" if step.excludes_zero else ""
        # Text, not str: rich reads markup in strings
        table.add_row(*(Text(cell) for cell in _cells(step, road)), style=style)
    return table


def road_markdown(road: Road) -> str:
    """Return the same table in Markdown."""
    rows = [tuple(_headings(road)), ("--:", ":--", "--:", "--:", ":--", *["--:"] * (len(_HEADINGS) - 5))]
    rows += [tuple(markdown_text(cell) for cell in _cells(step, road)) for step in road.steps]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    notes = [markdown_text(line) for line in (f"{road.data}: {conditions(road)}.", _legend(road), *_error_lines(road))]
    return "\n".join([*lines, "", "  \n".join(notes), ""])


def _cells(step: RoadStep, road: Road) -> tuple[str, ...]:
    digits = road.digits
    paper = MISSING if step.published_top1 is None else number(step.published_top1, 2)
    if step.published_delta is not None:
        paper += f" {signed(step.published_delta, 2)}"
    return (
        step.row,
        f"({step.title})" if step.side_step else step.title,
        mean_and_std(step, digits),
        str(step.seeds),
        difference(step, digits),
        quantity(step.params),
        quantity(step.macs),
        number(step.images_per_second, 0),
        paper,
    )


def _error_lines(road: Road) -> list[str]:
    return [
        f"Failed at {step.row} {step.title}: {error}" for step in road.steps for error in dict.fromkeys(step.errors)
    ]
