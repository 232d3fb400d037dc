from __future__ import annotations

from pathlib import Path

import pytest

from modernet.benchmark import measure_table12, run
from modernet.benchmark.questions import table12
from modernet.benchmark.questions.table12 import PAIRS, Pair
from modernet.errors import InputError
from modernet.models import get_entry
from modernet.records import read_records


def test_the_table_has_networks_of_the_zoo_at_their_sizes() -> None:
    for pair in PAIRS:
        for name in pair.published:
            get_entry(name)
        if pair.swin is not None:
            assert get_entry(pair.swin[0]).published.image_size == pair.image_size


def test_published_ratios_are_those_of_the_paper() -> None:
    ratios = [pair.published_ratio for pair in PAIRS if pair.published_ratio is not None]
    assert len(ratios) == 6
    assert (min(ratios), max(ratios)) == pytest.approx((211.4 / 157.9, 1275.3 / 857.3))


@pytest.mark.usefixtures("peaks")
def test_a_pair_runs_with_the_options_of_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "write_benchmark", lambda records, folder: [])  # tested elsewhere
    monkeypatch.setattr(table12, "PAIRS", (Pair("T", 32, ("swin_test", 10.0), ("convnext_test", 15.0)),))
    (measured,) = measure_table12(batch=2, device="cpu", threads=1, rounds=2, turn_s=0.0, folder=tmp_path)
    swin, convnext = measured.records
    assert measured.pair.published_ratio == 1.5
    assert [record.settings["layout"] for record in measured.records] == ["contiguous", "channels_last"]
    assert [record.settings["dtype"] for record in measured.records] == ["float32"] * 2
    assert swin.metrics["ratio"] == 1
    assert convnext.settings["ratio_to"] == swin.settings["ratio_to"]
    assert read_records(tmp_path / "t-32") == measured.records


@pytest.mark.parametrize(
    ("models", "image_size", "message"),
    [
        (["resnet18"], None, "table 12 has no resnet18; it has swin_tiny and convnext_tiny at 224; "),
        (["convnext_tiny"], 384, "table 12 has no such networks at 384; it has "),
    ],
)
def test_networks_and_sizes_outside_the_table_are_rejected(
    models: list[str], image_size: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        measure_table12(models, image_size=image_size)
