"""Write the page and the charts of some records into a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from modernet import progress
from modernet.records import Record
from modernet.report.drawing.room import missing_room
from modernet.report.page import arrange, write_sections

PAGE_NAME = "report.html"


def write_report(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write `report.html` and the chart of each section that has one, such as `road.png`.

    Charts of the same name are numbered in the order of the page: `road-1.png`, `road-2.png`.

    Returns:
        The files written, the page last; none, with a line that says so, where this process cannot draw.

    Raises:
        InputError: as `write_page`.
    """
    missing = missing_room()
    if missing is not None:
        progress.say(f"{folder} gets no report: {missing}")
        return []
    sections = arrange(records)
    images = [section.image for section in sections if section.image is not None]
    counts, seen = Counter(image.name for image in images), Counter[str]()
    written = []
    with progress.bar("drawing", len(images) + 1) as shown:
        for image in images:
            seen[image.name] += 1
            number = f"-{seen[image.name]}" if counts[image.name] > 1 else ""
            written.append(folder / f"{image.name}{number}.png")
            image.write(written[-1])
            shown.advance()
        write_sections(sections, folder / PAGE_NAME)
        shown.advance()
    return [*written, folder / PAGE_NAME]
