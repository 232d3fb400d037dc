"""Redraw the charts of docs/results, and rewrite the tables of its README.md, from the records: `make docs`."""

from __future__ import annotations

from pathlib import Path

from modernet.records import read_records
from modernet.report import road_markdown, summarise_road, write_report

RESULTS = Path(__file__).resolve().parent / "results"
WALKS = ("roadmap-nano-digit_scenes", "roadmap-nano-digit_scenes-24-epochs")
STUDIES = (*WALKS, "factorial-nano-digit_scenes")


def with_tables(page: str) -> str:
    """Return the README with the table of each walk between its two markers replaced."""
    for name in WALKS:
        (road,) = summarise_road(read_records(RESULTS / name))
        begin, end = f"<!-- {name}: made by docs/make_results.py -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n{road_markdown(road)}\n{end}{after}"
    return page


def main() -> None:
    readme = RESULTS / "README.md"
    readme.write_text(with_tables(readme.read_text(encoding="utf-8")), encoding="utf-8")
    for name in STUDIES:
        write_report(read_records(RESULTS / name), RESULTS / name)


if __name__ == "__main__":
    main()
