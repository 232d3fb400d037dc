"""Records of `gpu_small_data.py` -> README.md in the same folder.

python benchmarks/small_data_table.py docs/results/small_data     write it again, without running anything
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from modernet.files.atomic import whole_file
from modernet.records import RECORD_NAME, Record, read_record
from modernet.statistics import pooled_interval, std, welch_interval

_COPY = (
    "`cifar10` here is a JPEG copy of CIFAR-10: its accuracies are lower than published ones, and cannot be compared "
    "with them, only with each other."
)
_HEAD = (
    "| | Parameters | MACs | Images/s | Epochs | Seconds | Test top-1 | n | Difference [95 %] |\n"
    "|:--|--:|--:|--:|--:|--:|--:|--:|:--|"
)


def write_tables(folder: Path) -> None:
    """Write the tables of the records as `README.md`, a section per part."""
    parts: dict[str, list[Record]] = defaultdict(list)
    for record in map(read_record, sorted(folder.rglob(RECORD_NAME))):  # there may be no records yet
        parts[record.settings["part"]].append(record)
    sections = [_section(name, records) for name, records in parts.items()]
    with whole_file(folder / "README.md") as unfinished:
        unfinished.write_text("\n".join(["# Small data", "", *sections]), encoding="utf-8")


def _section(name: str, records: Sequence[Record]) -> str:
    first = records[0]
    data = first.settings["data"]
    lines = [
        f"## {name}",
        "",
        f"{first.environment['device']}. {data['name']}: {data['n_train']:,} training, {data['n_test']:,} test "
        f"images of {data['image_size']} pixels.{' ' + _COPY if data['name'] == 'cifar10' else ''}",
        "",
    ]
    final = [record for record in records if record.settings["phase"] == "final"]
    if final:
        budget = final[0].settings["budget_seconds"]
        few = len({record.settings["contender"] for record in final}) == 2
        interval = (
            "Welch's"
            if few
            else "Student's, with the spread pooled over all rows, without correction for multiple comparisons"
        )
        lines += [f"{budget:.0f} s of training per run, by speeds that were measured in turns before.", ""]
        lines += [_HEAD, *_rows(final, few)]
        lines += ["", "Test top-1 in per cent: mean ± standard deviation over n seeds. Images/s as measured before,"]
        lines += ["seconds of the runs themselves. Difference: to the first row, in percentage points; the interval is"]
        lines += [f"{interval}, over seeds; * it excludes zero.", ""]
    tried = [record for record in records if record.settings["phase"] == "tuning"]
    if tried:
        lines += ["Candidates, with a short run each; the best on the validation split represents its contender.", ""]
        lines += ["| | Candidate | Epochs | Validation top-1 |", "|:--|:--|--:|--:|"]
        for record in sorted(tried, key=lambda one: (one.settings["order"], -one.metrics["validation_top1"])):
            settings = record.settings
            lines.append(
                f"| {settings['contender']} | {settings['candidate']} | {settings['recipe']['epochs']} | "
                f"{record.metrics['validation_top1']:.1f} |"
            )
        lines.append("")
    return "\n".join(lines)


def _rows(records: Sequence[Record], welch: bool) -> list[str]:
    groups: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.settings["order"]].append(record)
    top1 = {order: [record.metrics["test_top1"] for record in groups[order]] for order in sorted(groups)}
    baseline = top1[min(top1)]
    rows = []
    for order, values in top1.items():
        settings = groups[order][0].settings
        label = settings["contender"]
        if settings["candidate"] != label:
            label += f": {settings['candidate']}"
        seconds = statistics.mean(record.metrics["seconds"] for record in groups[order])
        spread = "" if std(values) is None else f" ± {std(values):.1f}"
        rows.append(
            f"| {label} | {settings['params'] / 1e6:.2f} M | {settings['macs'] / 1e6:.0f} M | "
            f"{settings['calibrated_images_per_second']:,.0f} | {settings['recipe']['epochs']} | {seconds:.0f} | "
            f"{statistics.mean(values):.1f}{spread} | {len(values)} | "
            f"{'' if values is baseline else _difference(values, baseline, list(top1.values()), welch)} |"
        )
    return rows


def _difference(
    values: Sequence[float], baseline: Sequence[float], every: Sequence[Sequence[float]], welch: bool
) -> str:
    difference = statistics.mean(values) - statistics.mean(baseline)
    interval = welch_interval(values, baseline) if welch else pooled_interval(values, baseline, every)
    if interval is None:
        return f"{difference:+.1f}"
    return f"{difference:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}]{' *' if interval.excludes(0) else ''}"


if __name__ == "__main__":
    write_tables(Path(sys.argv[1]))
