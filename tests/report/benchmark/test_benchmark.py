from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from modernet.errors import InputError
from modernet.records import Record
from modernet.report import (
    benchmark_markdown,
    benchmark_rows,
    benchmark_table,
    summarise_benchmarks,
    write_benchmark,
    write_page,
    write_report,
)
from modernet.report.benchmark.chart import accuracy_chart, speed_chart, speed_limits
from modernet.report.benchmark.summary import accuracy_marks
from modernet.report.benchmark.wording import setting_label
from modernet.report.notation import measured

Cases = Callable[..., Record]

ROW = (
    "model", "mode", "dtype", "layout", "compile", "batch", "image_size", "length", "images_per_second",
    "latency_ms", "peak_memory_mb", "tflops", "peak_share", "ratio", "ratio_low", "ratio_high", "device",
    "threads", "params", "macs", "bound", "error", "versions",
)  # fmt: skip


@pytest.fixture(scope="module")
def cases(made_up_case: Cases) -> list[Record]:
    """Three networks, of which one has no published accuracy, and a fourth that failed."""
    return [
        made_up_case("convnext_tiny", 0, top1=82.1),
        made_up_case("swin_tiny", 1, 15_000, top1=81.3),
        made_up_case("timm:convnext_tiny", 2, 12_345),
        made_up_case("swin_base", 3, error="out of memory at batch 256"),
    ]


def printed(records: list[Record], width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(benchmark_table(records))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def row_of(lines: list[str], model: str) -> str:
    """The line of the table that begins with a network."""
    (line,) = (line for line in lines if line.startswith((f" {model} ", f"| {model} ")))
    return line


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def rows_of(chart: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the rows that a chart draws."""
    assert chart is not None
    rows: list[dict[str, Any]] = chart["data"][0]["values"]
    return rows


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# ── which records belong together ────────────────────────────────────────────────────────────────────────────────────


def test_runs_are_sorted_newest_first_and_cases_by_their_turns(made_up_case: Cases) -> None:
    old = [made_up_case(index=i, benchmark="old", created="2026-11-01T00:00:00+00:00") for i in (1, 0)]
    new = made_up_case(benchmark="new", created="2026-11-02T00:00:00+00:00")
    runs = summarise_benchmarks([*old, new, Record("train", "no case", {}, {})])
    assert [run.id for run in runs] == ["new", "old"]
    assert runs[1].cases == (old[1], old[0])
    assert runs[0].title == "Speed on NVIDIA Made-Up, 2026-11-02"


def test_a_record_without_its_run_is_a_one_line_error() -> None:
    with pytest.raises(InputError, match=r"^the record 'odd' of a benchmark has no setting 'benchmark'; run it again"):
        summarise_benchmarks([Record("benchmark", "odd", {}, {})])


def test_a_table_of_two_runs_is_refused(made_up_case: Cases) -> None:
    with pytest.raises(ValueError, match="records of 2 benchmarks were given; a table shows one"):
        benchmark_table([made_up_case(), made_up_case(benchmark="another")])


# ── rows for programs ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_row_is_flat_and_has_every_documented_key(cases: list[Record]) -> None:
    rows = benchmark_rows(cases)
    assert all(set(row) == set(ROW) for row in rows)
    assert json.loads(json.dumps(rows)) == rows
    assert rows[1]["model"] == "swin_tiny"
    assert rows[1]["ratio"] == 0.75
    assert rows[1]["params"] == 28_600_000
    assert rows[1]["device"] == "NVIDIA Made-Up"
    assert rows[1]["versions"] == "python 3.12.1, modernet 0.1.0, torch 2.15.0"


def test_missing_values_are_none_and_a_failed_case_has_its_error(made_up_case: Cases) -> None:
    failed, partial = benchmark_rows([made_up_case(error="out of memory"), made_up_case(without=["peak_memory_mb"])])
    assert failed["error"] == "out of memory"
    assert [failed[name] for name in ("images_per_second", "ratio", "params", "bound", "threads")] == [None] * 5
    assert partial["error"] is None
    assert partial["peak_memory_mb"] is None


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_title_has_what_all_cases_share_once(cases: list[Record]) -> None:
    lines = printed(cases)
    assert lines[0].strip() == "Speed on NVIDIA Made-Up, 2026-11-20"
    assert lines[1].strip() == "inference · bfloat16 · channels_last · compiled · batch 256 · 224×224 pixels"
    assert "peaks measured in this run: 790 TFLOP/s in bfloat16, 4,310 GB/s" in lines[2]
    assert "torch 2.15.0" in lines[3]
    assert not any("channels_last" in line for line in lines[5:-4])


def test_a_network_has_only_the_settings_that_differ(made_up_case: Cases) -> None:
    records = [made_up_case(), made_up_case(index=1, layout="contiguous", compile="off")]
    lines = printed(records)
    assert any("channels_last, compiled" in line for line in lines)
    assert any("contiguous, eager" in line for line in lines)
    assert lines[1].strip() == "convnext_tiny, 28.6M parameters, 4.46G MACs"
    heading, _, first, second = benchmark_markdown(records).splitlines()[:4]
    assert heading.startswith("| Model | Layout | Compile | Images/s |")
    assert first.startswith(r"| convnext\_tiny | channels\_last | default | 20,000 ")
    assert second.startswith(r"| convnext\_tiny | contiguous | off | 20,000 ")


def test_a_table_with_everything_in_it_fits_120_columns(made_up_case: Cases) -> None:
    records = [
        made_up_case("torchvision:convnext_tiny", i, 12_345.6, mode=mode, dtype=dtype, compile=compiled, top1=82.1)
        for i, (mode, dtype, compiled) in enumerate(
            (mode, dtype, compiled)
            for mode in ("infer", "train")
            for dtype in ("float32", "bfloat16")
            for compiled in ("off", "max-autotune")
        )
    ]
    records.append(made_up_case("swin_tiny", len(records), bound="arithmetic"))
    lines = printed(records)
    assert max(map(len, lines)) <= 120
    assert sum(line.startswith(" torchvision:convnext_tiny ") for line in lines) == 8
    text = " ".join(" ".join(lines).split())
    assert "…" not in text
    assert text.count("max-autotune") == 4
    assert text.count("[12,222, 12,469]") == 8


def test_a_value_has_its_interval_below_and_the_first_case_is_the_baseline(cases: list[Record]) -> None:
    lines = printed(cases)
    swin = lines.index(row_of(lines, "swin_tiny"))
    assert "15,000" in lines[swin]
    assert "0.750" in lines[swin]
    assert "[14,850, 15,150]" in lines[swin + 1]
    assert "[0.740, 0.760]" in lines[swin + 1]
    assert "(17 %)" in lines[swin + 1]
    assert "baseline" in row_of(lines, "convnext_tiny")
    text = " ".join(" ".join(lines).split())
    assert "times as fast as convnext_tiny infer bfloat16 channels_last, median over rounds [95 % boot" in text


def test_ratios_with_several_baselines_describe_them(made_up_case: Cases) -> None:
    records = [made_up_case(index=i, layout=layout, ratio_to=f"x {layout}") for i, layout in enumerate("ab")]
    records.append(made_up_case("swin_tiny", 2, layout="a", ratio_to="x a"))
    assert r"times as fast as convnext\_tiny under the same options, or the most similar ones," in benchmark_markdown(
        records
    )


def test_a_failed_case_is_marked_in_its_row_and_explained_below(cases: list[Record]) -> None:
    lines = printed(cases)
    assert "failed" in row_of(lines, "swin_base")
    assert any(line.startswith("Failed: swin_base: out of memory at batch 256") for line in lines)


def test_a_metric_without_values_has_no_column_and_a_missing_value_is_a_dash(made_up_case: Cases) -> None:
    records = [made_up_case(without=["tflops", "peak_memory_mb"]), made_up_case("b", 1, without=["tflops"])]
    lines = benchmark_markdown(records).splitlines()
    headings = [cell.strip() for cell in lines[0].strip("|").split("|")]
    assert "TFLOP/s" not in headings
    assert [cell.strip() for cell in lines[2].strip("|").split("|")][headings.index("MB")] == "–"
    assert [cell.strip() for cell in lines[3].strip("|").split("|")][headings.index("MB")] == "3,539"
    assert "TFLOP/s: achieved" not in lines[-1]


def test_a_single_case_has_no_ratio_and_its_counts_in_the_title(made_up_case: Cases) -> None:
    text = "\n".join(printed([made_up_case(top1=82.1)]))
    assert "convnext_tiny, 28.6M parameters, 4.46G MACs, published top-1 82.1 %" in " ".join(text.split())
    assert "Ratio" not in text
    assert "Params" not in text


def test_tables_show_markup_in_a_record_as_text(made_up_case: Cases) -> None:
    records = [made_up_case("[red]a|b[/red]"), made_up_case("x", 1, error="[/bold] at [0]")]
    text = "\n".join(printed(records))
    assert "[red]a|b[/red]" in text
    assert "[/bold] at [0]" in text
    assert r"| \[red\]a\|b\[/red\] |" in benchmark_markdown(records)


def test_markdown_is_the_same_whatever_the_order_of_the_records(cases: list[Record]) -> None:
    text = benchmark_markdown(cases)
    assert text == benchmark_markdown(cases[::-1])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(cases)
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in rows}) == 1
    assert r"15,000 \[14,850, 15,150\]" in row_of(rows, r"swin\_tiny")


@pytest.mark.parametrize(
    ("value", "like", "text"),
    [
        (None, None, "–"),
        (0.0, None, "0.00"),
        (12_345.6, None, "12,346"),
        (100.4, None, "100"),
        (12.34, None, "12.3"),
        (1.234, None, "1.23"),
        (0.01234, None, "0.0123"),
        (0.0000436, None, "0.0000"),
        (9.876, 12.0, "9.9"),
    ],
)
def test_a_measurement_has_three_digits_at_most_four_decimals_and_its_interval_as_many(
    value: float | None, like: float | None, text: str
) -> None:
    assert measured(value, like) == text


@pytest.mark.parametrize(
    ("name", "value", "label"),
    [
        ("mode", "train", "training"),
        ("compile", "off", "eager"),
        ("compile", "chosen", ""),
        ("compile", "reduce-overhead", "compile reduce-overhead"),
        ("batch", 8, "batch 8"),
        ("threads", 1, "1 thread"),
        ("threads", None, ""),
        ("layout", "contiguous", "contiguous"),
    ],
)
def test_the_label_of_a_setting_can_be_read_alone(name: str, value: object, label: str) -> None:
    assert setting_label(name, value) == label


def test_a_batch_that_did_not_fit_is_a_dash(made_up_case: Cases) -> None:
    records = [made_up_case(), made_up_case("swin_base", 1, error="out of memory at batch 1", batch=None)]
    assert row_of(benchmark_markdown(records).splitlines(), r"swin\_base").startswith(r"| swin\_base | – | failed |")


def test_threads_in_the_name_of_the_device_are_not_repeated(made_up_case: Cases) -> None:
    lines = printed([made_up_case(device="CPU, 2 threads", threads=2)])
    assert sum("2 threads" in line for line in lines) == 1


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.medium
def test_a_benchmark_is_written_as_table_csv_and_chart(cases: list[Record], tmp_path: Path) -> None:
    written = write_benchmark(cases, tmp_path)
    assert [path.name for path in written] == ["results.md", "infer.csv", "speed.png"]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert text.startswith("# Speed on NVIDIA Made-Up, 2026-11-20\n\n| Model |")
    assert benchmark_markdown(cases) in text


@pytest.mark.medium
def test_csv_has_timms_columns_units_and_rounding_before_ours(cases: list[Record], tmp_path: Path) -> None:
    write_benchmark(cases, tmp_path)
    rows = read_csv(tmp_path / "infer.csv")
    assert list(rows[0])[:10] == [
        "model", "infer_samples_per_sec", "infer_step_time", "infer_batch_size", "infer_img_size", "infer_gmacs",
        "param_count", "dtype", "layout", "compile",
    ]  # fmt: skip
    assert list(rows[1].values())[:10] == [
        "swin_tiny", "15000.0", "17.067", "256", "224", "4.46", "28.6", "bfloat16", "channels_last", "default",
    ]  # fmt: skip
    assert [row["model"] for row in rows] == ["convnext_tiny", "swin_tiny", "timm:convnext_tiny"]  # failed: left out
    assert [row["top1"] for row in rows] == ["82.1", "81.3", ""]


def test_training_has_a_csv_of_its_own_with_timms_column_names(made_up_case: Cases, tmp_path: Path) -> None:
    records = [made_up_case(mode="train"), made_up_case(index=1)]
    assert [path.name for path in write_benchmark(records, tmp_path)][1:3] == ["infer.csv", "train.csv"]
    (row,) = read_csv(tmp_path / "train.csv")
    assert list(row)[:6] == [
        "model", "train_samples_per_sec", "train_step_time", "train_batch_size", "train_img_size", "param_count",
    ]  # fmt: skip


def test_a_benchmark_in_which_everything_failed_is_written_without_csv(made_up_case: Cases, tmp_path: Path) -> None:
    written = write_benchmark([made_up_case(error="out of memory")], tmp_path)
    assert [path.name for path in written] == ["results.md", "speed.png"]
    orange = pixels(tmp_path / "speed.png")
    assert ((orange[..., 0] > 150) & (orange[..., 1] < 120) & (orange[..., 2] < 80)).sum() > 50  # the word "failed"


@pytest.mark.medium
def test_a_report_draws_every_benchmark_and_road(
    cases: list[Record], made_up_case: Cases, run: Callable[..., Record], tmp_path: Path
) -> None:
    assert [path.name for path in write_report([*cases, run("1")], tmp_path)] == [
        "road.png", "speed.png", "report.html",
    ]  # fmt: skip
    another = made_up_case(benchmark="another")
    assert [path.name for path in write_report([*cases, another], tmp_path)] == [
        "speed-1.png", "speed-2.png", "report.html",
    ]  # fmt: skip


# ── charts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_the_fastest_case_of_networks_with_an_accuracy_is_drawn(made_up_case: Cases) -> None:
    records = [
        made_up_case("a", 0, 100, top1=80.0),
        made_up_case("a", 1, 300, top1=80.0, layout="contiguous"),
        made_up_case("timm:a", 2, 500),
        made_up_case("b", 3, 200, top1=82.0),
        made_up_case("c", 4, error="out of memory"),
    ]
    (run,) = summarise_benchmarks(records)
    (group,) = run.groups
    assert accuracy_marks(group) == {2: records[1], 4: records[3]}
    points = rows_of(accuracy_chart(group))
    assert [(point["speed"], point["accuracy"], point["model"]) for point in points] == [
        (300, 80.0, "a"),
        (200, 82.0, "b"),
    ]


@pytest.mark.medium
def test_the_chart_lists_networks_without_an_accuracy_below(made_up_case: Cases, tmp_path: Path) -> None:
    def drawn(marked: float, unmarked: float) -> np.ndarray:
        records = [
            made_up_case("a", 0, top1=80.0),
            made_up_case("b", 1, 10_000, top1=82.0),
            made_up_case("c", 2, marked, top1=81.0),
            made_up_case("timm:a", 3, unmarked),
        ]
        write_benchmark(records, tmp_path)
        return pixels(tmp_path / "speed.png")

    one, other, third = drawn(15_000, 9_000), drawn(15_000, 1_000), drawn(12_000, 9_000)
    assert one.shape[1] == 1800
    assert one.shape == other.shape == third.shape
    axes = slice(0, 1000)  # rows of pixels; the notes are below
    assert (one[axes] == other[axes]).all()
    assert (one[1000:] != other[1000:]).any()
    assert (one[axes] != third[axes]).any()


def test_without_two_accuracies_the_chart_has_a_bar_per_case(made_up_case: Cases, tmp_path: Path) -> None:
    heights = []
    for count in (1, 2, 3):
        records = [made_up_case("a", i, 1_000, top1=80.0, layout=f"layout {i}") for i in range(count)]
        write_benchmark(records, tmp_path)
        heights.append(pixels(tmp_path / "speed.png").shape[0])
    assert heights[2] - heights[1] == heights[1] - heights[0] > 40
    (run,) = summarise_benchmarks(records)
    assert accuracy_chart(run.groups[0]) is None


def test_modes_dtypes_and_sizes_are_never_drawn_in_one_chart(made_up_case: Cases) -> None:
    variants = [{}, {"mode": "train"}, {"dtype": "float32"}, {"image_size": 384}, {"layout": "contiguous"}]
    (run,) = summarise_benchmarks(made_up_case(index=i, **settings) for i, settings in enumerate(variants))
    assert [list(group) for group in run.groups] == [[1, 5], [2], [3], [4]]
    assert len(rows_of(speed_chart(run, run.groups[0]))) == 2


def test_bars_have_quartiles_and_failed_cases_their_error(cases: list[Record]) -> None:
    (run,) = summarise_benchmarks(cases)
    rows = rows_of(speed_chart(run, run.groups[0]))
    assert [row["name"] for row in rows] == ["1 convnext_tiny", "2 swin_tiny", "3 timm:convnext_tiny", "4 swin_base"]
    assert [row.get("speed") for row in rows] == [20_000, 15_000, 12_345, None]
    assert (rows[1]["low"], rows[1]["high"]) == pytest.approx((14_850, 15_150))
    assert rows[3]["about"] == "4 swin_base\nfailed: out of memory at batch 256"


def test_the_axis_of_speeds_includes_every_quartile(made_up_case: Cases) -> None:
    low, high = speed_limits([made_up_case(speed=1_000), made_up_case(speed=9_000)])
    assert low < 990
    assert high > 9_090


# ── page ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.medium
def test_the_page_has_a_section_per_run_newest_first(cases: list[Record], made_up_case: Cases, tmp_path: Path) -> None:
    newer = made_up_case(benchmark="newer", device="CPU, 2 threads", created="2026-12-24T00:00:00+00:00")
    write_page([*cases, newer], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    titles = re.findall(r'<h2 id="benchmark-\d-title">(.*?)</h2>', text)
    assert titles == ["Speed on CPU, 2 threads, 2026-12-24", "Speed on NVIDIA Made-Up, 2026-11-20"]
    assert f'<a href="#benchmark-2">{titles[1]}: ' in text
    assert 'id="other-1"' not in text


def test_links_distinguish_runs_of_one_device_and_day(made_up_case: Cases, tmp_path: Path) -> None:
    write_page([made_up_case("swin_tiny"), made_up_case("resnet50", benchmark="other")], tmp_path / "page.html")
    links = re.findall(r'<a href="#benchmark-\d">(.*?)</a>', (tmp_path / "page.html").read_text(encoding="utf-8"))
    assert sorted(link.rpartition(": ")[2] for link in links) == ["resnet50", "swin_tiny"]


def test_the_page_has_a_row_per_case_with_intervals_and_errors(cases: list[Record], tmp_path: Path) -> None:
    write_page(cases, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    swin = next(row for row in re.findall(r"<tr.*?</tr>", text, re.DOTALL) if ">swin_tiny<" in row)
    assert '15,000<span class="interval">[14,850, 15,150]</span>' in swin
    assert '0.750<span class="interval">[0.740, 0.760]</span>' in swin
    failed = next(row for row in re.findall(r"<tr.*?</tr>", text, re.DOTALL) if ">swin_base<" in row)
    assert "Failed: out of memory at batch 256" in failed
    assert "torch 2.15.0" in text


def test_a_record_without_environment_or_metrics_is_reported_too(made_up_case: Cases, tmp_path: Path) -> None:
    bare = dataclasses.replace(made_up_case(), metrics={}, environment={})
    paths = [*write_benchmark([bare], tmp_path), *write_report([bare], tmp_path)]
    assert all(path.exists() for path in paths)
    assert "Speed on cuda" in (tmp_path / "results.md").read_text(encoding="utf-8")
