from __future__ import annotations

from pathlib import Path

from modernet.records import Record
from modernet.report import write_report

CONFUSION = {"classes": ["cat", "<dog>"], "counts": [[4, 1], [3, 2]]}


def evaluated(name: str, data: str = "pets", **metrics: float) -> Record:
    return Record(
        kind="evaluate",
        name=name,
        settings={"task": "classification", "data": {"name": data, "classes": 2, "n": 10}, "split": "validation"},
        metrics={"validation_top1": 60.0, "validation_n": 10, **metrics},
        details={"confusion": CONFUSION, "per_class": {"cat": {"top1": 80.0, "n": 5}, "<dog>": {"top1": 40.0, "n": 5}}},
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
    assert "Errors on the validation split" in text
    assert "<td>60.0 %</td><td>3</td>" in text, "the dog taken for a cat"
