from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from modernet.records import Metric, Record
from modernet.report import write_report
from modernet.report.drawing import errors
from modernet.report.evaluation.section import sections

CONFUSION = {"classes": ["cat", "<dog>"], "counts": [[4, 1], [3, 2]]}
PER_CLASS = {"cat": {"top1": 80.0, "n": 5}, "<dog>": {"top1": 40.0, "n": 5}, "owl": {"top1": 100.0, "n": 5}}


def evaluated(name: str, data: str = "pets", fingerprint: str = "", **metrics: float) -> Record:
    return Record(
        kind="evaluate",
        name=name,
        settings={
            "task": "classification",
            "data": {"name": data, "n": 10, "fingerprint": fingerprint},
            "split": "validation",
        },
        metrics={"validation_top1": 60.0, "validation_n": 10, **metrics},
        details={"confusion": CONFUSION, "per_class": PER_CLASS},
    )


def test_networks_on_the_same_data_share_a_section_with_intervals_and_worst_classes(tmp_path: Path) -> None:
    first = evaluated("resnet18", validation_top1_low=31.3, validation_top1_high=83.2)
    written = write_report([first, evaluated("swin_tiny"), evaluated("vit_tiny", data="owls")], tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert [path.name for path in written] == ["evaluation-1.png", "evaluation-2.png", "report.html"]
    assert text.count("Evaluation on pets</h2>") == 1
    assert "<td>60.0 [31.3, 83.2]</td><td>10</td>" in text
    assert "<td>60.0</td><td>10</td>" in text
    assert text.index("&lt;dog&gt;</th><td>40.0</td><td>5</td>") < text.index("cat</th><td>80.0</td><td>5</td>")
    assert "owl</th>" not in text, "a perfect class is not among the worst"
    assert "Errors on the validation split" in text
    assert "<td>60.0 %</td><td>3</td>" in text, "the dog taken for a cat"


@pytest.mark.parametrize(
    ("task", "examples"), [("classification", "images"), ("sequences", "sequences"), ("points", "clouds")]
)
def test_the_examples_of_a_task_have_their_name(tmp_path: Path, task: str, examples: str) -> None:
    record = evaluated("net")
    record.settings["task"] = task
    training = replace(record, kind="train", metrics={"test_top1": 60.0, f"train_{examples}_per_second": 1234.0})
    write_report([record, training], tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert f"Scores over n {examples} of the validation split" in text
    assert f"95 % intervals over {examples}." in text
    assert f"Test and validation scores over n {examples}" in text
    assert f"{examples.capitalize()}/s" in text
    assert "<td>1,234</td>" in text


def test_runs_of_one_network_have_labels_of_their_own() -> None:
    runs = [evaluated("resnet18"), evaluated("resnet18")]
    for run, name in zip(runs, ("first", "second"), strict=True):
        run.settings.update(run=name, weights={"file": name, "fingerprint": name})
    (section,) = sections(runs)

    assert [row[0] for row in section.content["rows"]] == ["resnet18 (run first)", "resnet18 (run second)"]


def test_images_of_one_name_and_other_content_have_sections_of_their_own() -> None:
    both = sections([evaluated("resnet18", "val", "aa"), evaluated("vit", "val", "bb"), evaluated("swin", "val", "aa")])

    assert [section.title for section in both] == ["Evaluation on val (aa)", "Evaluation on val (bb)"]
    assert [len(section.records) for section in both] == [2, 1]


def test_the_worst_classes_of_a_segmenter_are_by_iou() -> None:
    metric = {"name": "iou", "title": "IoU"}
    details = {"per_class": {"road": {"iou": 91.0}, "sky": {"iou": 12.0}}, "class_metric": metric}
    record = replace(evaluated("resnet18"), task_metrics=(Metric("miou", "mIoU"),), details=details)
    (section,) = sections([record])

    (worst,) = section.content["worst"]
    assert worst == ("resnet18", "IoU", [("sky", "12.0", "–"), ("road", "91.0", "–")])


def test_the_png_names_the_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subtitles: list[str] = []
    monkeypatch.setattr(errors, "write_png", lambda path, title, subtitle, panels: subtitles.append(subtitle))
    (section,) = sections([evaluated("resnet18")])
    assert section.image is not None
    section.image.write(tmp_path / "errors.png")

    assert subtitles == ["on the validation split"]
