from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from modernet.cli import _VERBS
from modernet.records import Record

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})

    assert "('Separate downsampling', " in capsys.readouterr().out
    assert (tmp_path / "runs" / "two-steps" / "report.html").exists()


def test_every_verb_is_shown_and_every_verb_shown_exists() -> None:
    assert set(re.findall(r"uv run modernet (\w+)", README)) == _VERBS.keys()


@pytest.fixture(scope="module")
def pages() -> Any:
    """docs/make_speed.py."""
    spec = importlib.util.spec_from_file_location("make_speed", ROOT / "docs" / "make_speed.py")
    assert spec is not None
    assert spec.loader is not None
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    return pages


def test_the_speed_tables_are_made_from_the_records(pages: Any) -> None:
    assert pages.with_speed(README) == README, "run make docs"
    assert pages.speed_page() == (ROOT / "docs" / "speed.md").read_text(encoding="utf-8"), "run make docs"


def precision_record() -> Record:
    """A record of benchmarks/cpu_precision.py: 8-bit integers run twice as fast, and lose half a point."""
    times = {"modernet.optimize, exact": 0.4, "modernet.optimize, int8": 0.2, "OpenVINO, float32": 0.5}
    times |= {"timm compiled, float32": 0.8, "OpenVINO, int8": 0.25}
    judged = {"relative error": 0.01, "% top-1": 92.5, "points lost": 0.5, "points lost, low": -0.5}
    metrics = {
        f"{what}: {way}": value for way in times for what, value in (judged | {"points lost, high": 1.5}).items()
    }
    metrics |= {f"images/s: {way}": 8 / seconds for way, seconds in times.items()}
    metrics |= {f"seconds to prepare: {way}": 1.0 for way in times}
    return Record(
        "cpu precision",
        "EfficientNet-Lite0, batch 8",
        settings={
            "network": "efficientnet_lite0",
            "batch": 8,
            "trained": True,
            "processor": "AMX",
            "chosen": {"modernet.optimize, int8": "OpenVINO int8"},
            "skipped": {"ONNX Runtime, int8": "onnxruntime not installed"},
        },
        metrics=metrics,
        history=[times] * 5,
        environment={
            "device": "CPU Xeon, 2 threads",
            "created": "2026-12-01T10:00:00",
            "versions": {"torch": "2.15.0"},
        },
    )


def test_a_row_for_each_processor_and_precision_has_the_accuracy_next_to_the_speed(pages: Any) -> None:
    table = pages.precision_table([precision_record()])
    top1 = "92.5 %, 0.5 points lost [-0.5, 1.5]"
    assert f"| Xeon, 2 threads, AMX | `exact` | – | – | – | 20.0, 1.25x [1.25, 1.25] | {top1} |" in table
    assert f"| Xeon, 2 threads, AMX | `int8` | – | – | – | 40.0, 1.25x [1.25, 1.25] | {top1} |" in table
    assert "`bf16` |" not in table
    assert "not measured** on processors with AVX-512 with bf16," in table


def test_all_ways_of_a_record_are_shown_the_fastest_first(pages: Any) -> None:
    table = pages.ways_table(precision_record()).splitlines()
    assert table[4].startswith("| modernet.optimize, int8 (OpenVINO int8) | 40.0 | – | 1.0e-02 | 92.5 %")
    assert table[8].startswith("| timm compiled, float32 | 10.0 |")
    assert table[-1] == "Not measured: ONNX Runtime, int8 (onnxruntime not installed)."
