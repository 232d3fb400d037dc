from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image

from modernet.data.transforms.corruptions import SEVERITIES, Suite, suite_names
from modernet.records import Metric, Record
from modernet.report import write_page, write_report
from modernet.report.robustness.charts import calibration_curves, severity_curves, size_and_shift_curves
from modernet.report.robustness.probe_tables import (
    bias_table,
    calibration_table,
    resolution_table,
    translation_table,
)
from modernet.report.robustness.section import sections
from modernet.report.robustness.summary import CELLS, comparisons
from modernet.report.robustness.table import Table
from modernet.report.robustness.tables import findings, means_table, severity_table, summary_table
from report.robustness.made_up import made_up_record

FIRST, SECOND = made_up_record(), made_up_record("swin_tiny", 1.3)
(BOTH,) = comparisons([FIRST, SECOND])
(ALONE,) = comparisons([FIRST])


def cells(table: Table | None, title: str, below: str = "") -> dict[str, tuple[str, ...]]:
    """Return the texts of a row by the headings of its columns."""
    assert table is not None
    (row,) = (row for row in table.rows if (row.title, row.below) == (title, below))
    texts = [(cell.value, *cell.below) for cell in row.cells]
    return dict(zip(table.headings[1:], texts, strict=True))


def rows_of(figure: dict[str, Any]) -> list[dict[str, Any]]:
    return max((source["values"] for source in figure["data"] if "values" in source), key=len)


@pytest.mark.medium
def test_networks_on_the_same_images_are_compared_and_others_have_sections_of_their_own() -> None:
    others = made_up_record(data={"name": "imagenet_like", "fingerprint": "4567"})
    trained = Record("train", "resnet18", {}, {})
    found = sections([FIRST, trained, SECOND, others])
    assert [[record.name for record in section.records] for section in found] == [
        ["convnext_tiny", "swin_tiny"],
        ["convnext_tiny"],
    ]
    assert found[0].title == "Robustness on imagenet_like"


def test_the_summary_has_the_clean_accuracy_beside_every_number() -> None:
    found = cells(summary_table(BOTH), "convnext_tiny")
    assert found["Top-1, clean"] == ("84.0", "[81.7, 86.1]")
    assert found["mCE, C ↓"] == ("51.2", "[48.9, 53.3]")
    assert found["Top-1, ImageNet-Sketch"] == ("41.00", "[38.70, 43.10]", "clean 83.0", "n = 50,889")
    assert found["ECE ↓"] == ("4.2",)
    assert found["Same answer, shifted by 1 pixel"] == ("98.5", "[96.2, 100.6]")
    assert found["n"] == ("400",)
    assert "mCE, C-bar ↓" not in found, "C-bar has no mCE"


def test_a_metric_that_the_report_does_not_know_has_a_column_by_its_description() -> None:
    metrics = {"n": 5.0, "c_miou": 41.234, "resolution_128_top1": 60.0}
    described = (Metric("c_miou", "mIoU under C", digits=2), Metric("resolution_128_top1", "top-1 at 128 pixels"))
    odd = replace(FIRST, metrics=metrics, task_metrics=described)
    (comparison,) = comparisons([odd])
    assert cells(summary_table(comparison), "convnext_tiny") == {"mIoU under C": ("41.23",), "n": ("5",)}


def test_corruptions_have_their_severities_mean_and_ce() -> None:
    found = cells(severity_table(ALONE, "c"), "gaussian noise")
    assert found == {
        "1": ("20.0",), "2": ("24.0",), "3": ("28.0",), "4": ("32.0",), "5": ("36.0",),
        "Mean": ("28.0", "[25.7, 30.1]"), "CE": ("35.0", "[32.7, 37.1]"),
    }  # fmt: skip
    assert "CE" not in cells(severity_table(ALONE, "cbar"), "plasma noise")
    assert cells(severity_table(BOTH, "c"), "gaussian noise", "swin_tiny")["5"] == ("37.2",)
    assert cells(means_table(BOTH, "c"), "gaussian noise") == {
        "convnext_tiny": ("28.0", "[25.7, 30.1]", "CE 35.0"),
        "swin_tiny": ("29.2", "[26.9, 31.3]", "CE 36.5"),
    }


def test_a_network_without_a_corruption_or_a_severity_has_a_dash() -> None:
    rows = [
        row
        for row in SECOND.details["corruptions"]
        if row["corruption"] != "fog" and (row["corruption"], row["severity"]) != ("snow", 2)
    ]
    partial = replace(SECOND, details={"corruptions": rows})
    (comparison,) = comparisons([FIRST, partial])
    assert cells(means_table(comparison, "c"), "fog")["swin_tiny"] == ("–",)
    snow = cells(severity_table(comparison, "c"), "snow", "swin_tiny")
    assert snow["2"] == ("–",)
    assert len(snow["Mean"]) == 1, "the mean of the others, without an interval"


def test_means_over_some_corruptions_or_severities_say_over_which() -> None:
    assert cells(summary_table(ALONE), "convnext_tiny")["Mean error, C ↓"] == ("42.2", "[39.9, 44.3]")
    assert cells(summary_table(ALONE), "convnext_tiny")["Mean error, C-bar ↓"][2:] == ("15 of 50",)
    hard = [row for row in SECOND.details["corruptions"] if row["severity"] in (3, 5)]
    (comparison,) = comparisons([FIRST, replace(SECOND, details={**SECOND.details, "corruptions": hard})])
    assert cells(summary_table(comparison), "swin_tiny")["Mean error, C ↓"][2:] == ("30 of 75",)
    found = cells(means_table(comparison, "c"), "gaussian noise")
    assert [found[name][-1] for name in ("convnext_tiny", "swin_tiny")] == ["CE 35.0", "severity 3, 5"]


def test_the_report_knows_the_sizes_of_the_suites() -> None:
    assert {suite: len(SEVERITIES) * len(suite_names(suite)) for suite in get_args(Suite)} == CELLS


def test_what_is_worst_and_best_is_said_of_few_networks() -> None:
    (sentence,) = findings(ALONE)
    assert re.sub(r"\s", " ", sentence) == (
        "convnext_tiny: 16.0 % wrong on clean images; worst under snow (51.8 %), glass blur (51.7 %), brightness "
        "(49.9 %); best under gaussian noise (28.0 %)."
    )
    assert len(findings(BOTH)) == 2
    (many,) = comparisons([made_up_record(str(name)) for name in range(4)])
    assert findings(many) == []


def test_strips_have_a_point_for_each_severity_of_each_corruption_and_network() -> None:
    curves = severity_curves(BOTH, "c")
    assert [name for name, _ in curves.keys] == ["convnext_tiny", "swin_tiny"]
    rows = rows_of(curves.charts[0].figure)
    assert len(rows) == 2 * 15 * 5
    noise = [row for row in rows if (row["line"], row["strip"]) == (0, 0)]
    assert [row["value"] for row in noise] == pytest.approx([20, 24, 28, 32, 36])
    assert [row["x"] for row in noise] == pytest.approx([-2 / 7, -1 / 7, 0, 1 / 7, 2 / 7])
    assert noise[4]["about"] == "convnext_tiny\ngaussian noise, severity 5: 36.0 % wrong\nclean: 16.0 %"
    assert severity_curves(ALONE, "c").keys == [], "one network needs no key"


def test_higher_is_better_where_average_precision_is_measured() -> None:
    found = []
    for made_up in (FIRST, SECOND):
        details: dict[str, Any] = {"measure": {"name": "box_ap", "title": "box AP"}}
        for name in ("corruptions", "corruption_means"):
            places = [
                {key: row[key] for key in ("suite", "corruption", "severity") if key in row}
                for row in made_up.details[name]
            ]
            values = [{"box_ap": 100 - row["error"]} for row in made_up.details[name]]
            details[name] = [place | value for place, value in zip(places, values, strict=True)]
        metrics = {"n": 400.0, "clean_box_ap": 84.0, "c_box_ap_mpc": 48.5, "c_box_ap_rpc": 57.7}
        meanings = (Metric("c_box_ap_mpc", "mPC of box AP, C"), Metric("c_box_ap_rpc", "rPC of box AP, C"))
        settings = {**made_up.settings, "task": "detection"}
        found.append(replace(made_up, settings=settings, metrics=metrics, task_metrics=meanings, details=details))
    (comparison,) = comparisons(found)
    assert len(comparisons([*found, FIRST])) == 2, "a classifier on the same images is not compared with detectors"
    assert cells(summary_table(comparison), "convnext_tiny") == {
        "mPC of box AP, C": ("48.5",), "rPC of box AP, C": ("57.7",), "n": ("400",),
    }  # fmt: skip
    table = severity_table(comparison, "c")
    assert table.label == "box AP by severity, corruptions of ImageNet-C"
    assert cells(table, "gaussian noise", "convnext_tiny") == {
        "1": ("80.0",), "2": ("76.0",), "3": ("72.0",), "4": ("68.0",), "5": ("64.0",), "Mean": ("72.0",),
    }  # fmt: skip
    assert cells(means_table(comparison, "c"), "gaussian noise")["convnext_tiny"] == ("72.0",)
    assert re.sub(r"\s", " ", findings(comparison)[0]) == (
        "convnext_tiny: box AP 84.0 % on clean images; worst under snow (48.2 %), glass blur (48.3 %), brightness "
        "(50.1 %); best under gaussian noise (72.0 %)."
    )
    rows = rows_of(severity_curves(comparison, "c").charts[0].figure)
    assert rows[4]["value"] == pytest.approx(64)
    assert rows[4]["about"] == "convnext_tiny\ngaussian noise, severity 5: box AP 64.0 %\nclean: 84.0 %"

    noise = [row for row in found[0].details["corruptions"] if row["corruption"].endswith("noise")]
    (partial,) = comparisons([replace(found[0], details={**found[0].details, "corruptions": noise})])
    assert cells(summary_table(partial), "convnext_tiny")["mPC of box AP, C"] == ("48.5", "15 of 75")


def test_without_clean_images_nothing_is_said_of_them() -> None:
    metrics = {name: value for name, value in FIRST.metrics.items() if not name.startswith("clean")}
    (comparison,) = comparisons([replace(FIRST, metrics=metrics)])
    rows = rows_of(severity_curves(comparison, "c").charts[0].figure)
    assert rows[4]["about"] == "convnext_tiny\ngaussian noise, severity 5: 36.0 % wrong"


def test_conditions_that_differ_name_their_networks() -> None:
    third = made_up_record("resnet50", frost="the six photographs")
    one, another = sections([FIRST, third, SECOND])[0].content["conditions"]
    assert one.startswith("convnext_tiny, swin_tiny · images: shorter side")
    assert one.endswith("frost: synthesised")
    assert another.startswith("resnet50 · images: shorter side")
    assert another.endswith("frost: the six photographs")
    (same,) = sections([FIRST, SECOND])[0].content["conditions"]
    assert same.startswith("images: shorter side")


def test_the_reliability_diagram_leaves_out_bins_without_images() -> None:
    curves = calibration_curves(ALONE)
    assert curves is not None
    rows = rows_of(curves.charts[0].figure)
    assert len(rows) == 11
    assert rows[-1]["about"].startswith("convnext_tiny\nconfidence 97 %: 92 % right\n157 of ")
    found = cells(calibration_table(ALONE), "convnext_tiny")
    assert found["Brier ↓"] == ("0.231",)
    assert found["ECE ↓, scaled"] == ("1.9",)


def test_sizes_and_shifts_have_whiskers_and_their_tables_the_reasons() -> None:
    curves = size_and_shift_curves(ALONE)
    assert curves is not None
    sizes, shifts = (rows_of(chart.figure) for chart in curves.charts)
    assert [row["x"] for row in sizes if row["own"]] == [224]
    assert all(row["low"] < row["value"] < row["high"] for row in [*sizes, *shifts])
    assert 480 not in [row["x"] for row in sizes]
    assert cells(resolution_table(ALONE), "480") == {"convnext_tiny": ("–", "not at 480 x 480: too large")}
    assert cells(resolution_table(ALONE), "224")["convnext_tiny"][-1] == "its own size"
    assert [row["x"] for row in shifts] == [1, 2, 4, 8, 16]
    found = cells(translation_table(ALONE), "16", "vertical")
    assert found == {"convnext_tiny": ("91.0", "[88.7, 93.1]", "probability ±24.0")}
    assert cells(bias_table(ALONE), "Border alone") == {"convnext_tiny": ("33.0", "[30.7, 35.1]")}


@pytest.mark.medium
def test_a_part_that_was_not_measured_has_no_table_and_no_chart(tmp_path: Path) -> None:
    bare = replace(FIRST, metrics={"n": 400.0, "clean_top1": 84.0}, details={})
    failed = replace(SECOND, metrics={}, details={}, error="out of memory")
    assert [path.name for path in write_report([bare, failed], tmp_path)] == ["report.html"]
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("<caption>") == 1
    assert '<span class="change failed">Failed: out of memory</span>' in text
    assert '<script type="application/json">' not in text
    assert "errors relative to" not in text


@pytest.mark.medium
def test_the_folder_has_every_chart_and_the_page_says_how_images_were_made(tmp_path: Path) -> None:
    assert [path.name for path in write_report([FIRST, SECOND], tmp_path)] == ["robustness.png", "report.html"]
    with Image.open(tmp_path / "robustness.png") as image:
        assert image.width == 1800
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "stored: JPEG · errors relative to those of AlexNet · frost: synthesised</p>" in text
    assert text.count('<script type="application/json">') == 5
    assert text.count("<summary>Every severity</summary>") == 2
    write_page([FIRST], tmp_path / "page.html")
    assert "Every severity" not in (tmp_path / "page.html").read_text(encoding="utf-8")
