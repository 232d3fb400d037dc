"""Records that no other kind of section knows: one table of their metrics."""

from __future__ import annotations

from collections.abc import Sequence

from modernet.records import Record
from modernet.report.section import Section


def sections(records: Sequence[Record]) -> list[Section]:
    """Return one section for all records; see `Kind`."""
    if not records:
        return []
    return [Section("other", "Other runs", "Other runs", {"runs": records}, records)]
