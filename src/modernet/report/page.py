"""Write records as one HTML file that opens offline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.records import Record
from modernet.report import (
    advise,
    arena,
    benchmark,
    compare,
    evaluation,
    factorial,
    notation,
    other,
    road,
    robustness,
    training,
)
from modernet.report.drawing.script import vega_script
from modernet.report.section import Kind, Section

KINDS: tuple[Kind, ...] = (advise, compare, road, factorial, arena, benchmark, robustness, training, evaluation, other)
"""In the order of the page. A record belongs to the first kind that puts it into a section."""


def write_page(records: Sequence[Record], path: Path) -> None:
    """Write one HTML file with everything in the records: a section for each study, benchmark and data set.

    The file contains its scripts and styles (Vega, 0.9 MB) and makes no network requests. It is written atomically.

    Raises:
        InputError: there are no records, or a record lacks a setting that says where it belongs.
    """
    write_sections(arrange(records), path)


def arrange(records: Sequence[Record]) -> list[Section]:
    """Return the sections of the page for some records.

    Raises:
        InputError: as `write_page`.
    """
    if not records:
        raise InputError("there are no records to report; give the folder that a run wrote, such as runs/roadmap")
    sections: list[Section] = []
    for kind in KINDS:
        sections += (new := kind.sections(records))
        taken = {id(record) for section in new for record in section.records}
        records = [record for record in records if id(record) not in taken]
    return sections


def write_sections(sections: Iterable[Section], path: Path) -> None:
    """Write the page of some sections."""
    import jinja2
    from markupsafe import Markup

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("modernet.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["notation"] = notation
    counts = Counter[str]()
    rendered = []
    for section in sections:
        counts[section.kind] += 1
        html = templates.get_template(f"{section.kind}/section.html.j2").render(section.content)
        rendered.append((f"{section.kind}-{counts[section.kind]}", section, Markup(html)))
    page = templates.get_template("page.html.j2").render(sections=rendered, vega=vega_script())
    with whole_file(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")
