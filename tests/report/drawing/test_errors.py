from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from modernet.records import Record
from modernet.report import write_page, write_report
from modernet.report.drawing.confusion import confused_pairs, confusion_chart
from modernet.report.drawing.errors import errors
from modernet.report.drawing.precision_recall import precision_recall_curves

Runs = Callable[..., Record]

CONFUSION = {"classes": ["cat", "dog", "owl"], "counts": [[60, 40, 0], [1, 3, 0], [0, 0, 0]]}
CURVE = {"class": "cat", "iou": 0.5, "precision": [1.0, 1.0, 1.0, 0.5, 0.25]}
MEAN = {**CURVE, "class": None, "classes": 1}


def rows_of(chart: dict[str, Any] | None) -> list[dict[str, Any]]:
    assert chart is not None
    return list(chart["data"][0]["values"])


def test_rows_of_the_heat_map_are_shares_of_the_true_class() -> None:
    cells = {(row["row"], row["column"]): row for row in rows_of(confusion_chart(CONFUSION))}
    assert {place: cell["share"] for place, cell in cells.items()} == {
        (0, 0): 0.6, (0, 1): 0.4, (1, 0): 0.25, (1, 1): 0.75,
    }  # fmt: skip
    assert cells[0, 1]["about"] == "cat taken for dog\n40 of 100: 40 %"
    assert cells[1, 1]["about"] == "dog, found\n3 of 4: 75 %"


def test_the_most_confused_pairs_come_by_their_share() -> None:
    pairs = confused_pairs(CONFUSION)
    assert [(pair.true, pair.predicted, pair.count, pair.share) for pair in pairs] == [
        ("cat", "dog", 40, 0.4),
        ("dog", "cat", 1, 0.25),
    ]
    assert confused_pairs({"classes": ["a"], "counts": [[5]]}) == []
    many = {"classes": list(map(str, range(150))), "counts": [[1] * 150] * 150}
    assert len(confused_pairs(many)) == 12


def test_objects_have_a_column_of_missed_ones_and_a_row_of_false_alarms() -> None:
    objects = {**CONFUSION, "classes": ["cat", "dog", "background"], "missed": [100, 0, 0], "false_alarms": [3, 0, 1]}
    cells = {(row["row"], row["column"]): row for row in rows_of(confusion_chart(objects))}
    assert cells[0, 1]["about"] == "cat taken for dog\n40 of 200: 20 %"
    assert cells[0, 3]["about"] == "cat, missed\n100 of 200: 50 %"
    assert cells[3, 0]["about"] == "cat, false alarms\n3 of 4: 75 %"
    assert cells[3, 2]["about"] == "background, false alarms\n1 of 4: 25 %"
    assert (3, 3) not in cells
    assert [(pair.true, pair.predicted, pair.share) for pair in confused_pairs(objects)] == [
        ("cat", "(missed)", 0.5),
        ("dog", "cat", 0.25),
        ("cat", "dog", 0.2),
    ]


def test_the_caption_of_objects_says_what_counts(training_run: Runs) -> None:
    objects = {**CONFUSION, "missed": [1, 0, 0], "false_alarms": [0, 0, 0], "score": 0.3, "iou": 0.5}
    chart = errors("run", replace(training_run(), details={"confusion": objects})).confusion
    assert chart is not None
    assert "from a score of 0.3 on" in chart.caption
    assert "an IoU of 0.5 or more. The last column has missed objects, the last row false alarms." in chart.caption
    plain = errors("run", replace(training_run(), details={"confusion": CONFUSION})).confusion
    assert plain is not None
    assert "missed" not in plain.caption
    assert errors("run", replace(training_run(), details={"confusion": {}})).confusion is None


def test_many_classes_have_a_table_and_no_heat_map() -> None:
    def of(k: int) -> dict[str, Any]:
        return {"classes": list(map(str, range(k))), "counts": [[int(i == j) for j in range(k)] for i in range(k)]}

    assert confusion_chart(of(40)) is not None
    assert confusion_chart(of(41)) is None


def test_curves_of_each_iou_have_a_chart_without_points_that_change_nothing() -> None:
    curves = precision_recall_curves([CURVE, {**CURVE, "class": "dog"}, {**CURVE, "iou": 0.75}])
    assert [name for name, _ in curves.keys] == ["cat", "dog"]
    half, strict = (rows_of(chart.figure) for chart in curves.charts)
    assert [(row["recall"], row["precision"]) for row in half if row["line"] == 0] == [
        (0.0, 1.0), (0.5, 1.0), (0.75, 0.5), (1.0, 0.25),
    ]  # fmt: skip
    assert {row["line"] for row in half} == {0, 1}
    assert {row["line"] for row in strict} == {0}
    assert half[0]["about"] == "cat\nrecall 0 %: precision 100 %"


def test_the_mean_of_all_classes_is_marked_and_no_class_is_taken_for_it() -> None:
    curves = precision_recall_curves([{**MEAN, "classes": 2}, {**CURVE, "class": "all"}, CURVE])
    (chart,) = curves.charts
    assert {(row["line"], row["mean"]) for row in rows_of(chart.figure)} == {(0, True), (1, False), (2, False)}
    assert [name for name, _ in curves.keys] == ["all classes", "all", "cat"]
    assert chart.caption.endswith("a line for each class, the thick one for the mean of all.")
    (without,) = precision_recall_curves([CURVE]).charts
    assert "mean" not in without.caption


def test_curves_of_the_worst_classes_say_of_how_many() -> None:
    (chart,) = precision_recall_curves([{**MEAN, "classes": 80}, CURVE]).charts
    assert "a line for each of the 1 classes of 80 with the lowest AP" in chart.caption


def test_the_page_has_the_details_of_each_run_and_the_folder_their_charts(training_run: Runs, tmp_path: Path) -> None:
    misses = [{"image": "a/<b>.png", "why": "mIoU 3 %", "jpeg": "AAAA"}]
    details = {"confusion": CONFUSION, "precision_recall": [CURVE], "misses": misses}
    record = replace(training_run(), details=details)
    written = write_report([record], tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert [path.name for path in written] == ["errors.png", "report.html"]
    with Image.open(tmp_path / "errors.png") as image:
        assert image.width == 1800
    assert '<img src="data:image/jpeg;base64,AAAA" alt="mIoU 3 %"' in text
    assert "a/&lt;b&gt;.png</span>mIoU 3 %" in text
    assert "<td>40.0 %</td><td>40</td>" in text
    assert text.count('<script type="application/json">') == 4
    assert "<summary>convnext_atto" not in text

    both = [record, replace(training_run("vit_tiny"), details={"misses": misses})]
    write_page([*both, training_run("resnet18")], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<summary>convnext_atto</summary>" in text
    assert "<summary>vit_tiny</summary>" in text
    assert "<summary>resnet18</summary>" not in text


def test_runs_without_details_have_no_section_of_errors(training_run: Runs, tmp_path: Path) -> None:
    assert [path.name for path in write_report([training_run()], tmp_path)] == ["report.html"]
    assert "Errors on the test split" not in (tmp_path / "report.html").read_text(encoding="utf-8")
