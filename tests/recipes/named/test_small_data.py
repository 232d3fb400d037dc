from __future__ import annotations

import ast
import importlib
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from modernet.data import ImageDataset, open_dataset
from modernet.models import create_model
from modernet.recipes import RECIPES, get_recipe
from modernet.records import read_records
from modernet.tasks import train_classifier
from modernet.weights import NetworkSpec

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
NARROW = NetworkSpec(
    "model",
    "convnext_pico",
    {"depths": (1, 1, 1), "dims": (16, 32, 64), "stem_stride": 4, "layer_scale_init": 0.0},
)


@pytest.fixture(scope="module")
def scenes() -> ImageDataset:
    return open_dataset("digit_scenes")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, scenes: ImageDataset) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module("gpu_small_data")
    monkeypatch.setattr(module, "open_dataset", lambda spec: scenes)
    return module


@pytest.mark.medium
def test_a_narrow_convnext_learns_digits_in_a_few_seconds(tmp_path: Path, scenes: ImageDataset) -> None:
    recipe = get_recipe("small_data").replace(flip=0.0, batch_size=32).lasting(8)  # 384 steps

    record = train_classifier(NARROW, scenes, recipe, seed=0, folder=tmp_path, device=torch.device("cpu"))

    assert record.metrics["test_top1"] > 50  # 66.6 to 71.0 for seeds 0 to 4; chance is 10


@pytest.mark.medium
def test_the_gpu_script_rehearses_stops_and_resumes(
    tmp_path: Path, script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main(["--rehearse", "--out", str(tmp_path), "--minutes", "0"])  # stops each part after one step
    assert list(tmp_path.rglob("record.json")) == []

    script.main(["--rehearse", "--out", str(tmp_path)])

    records = read_records(tmp_path)
    final = [record.settings for record in records if record.settings["phase"] == "final"]
    assert len(records) - len(final) == 8
    assert {(one["part"], one["contender"]) for one in final} == {
        ("cifar10", "ConvNeXt"), ("cifar10", "ResNet-10 of width 8"),
        ("ablation", "small_data"), ("ablation", "stem stride 4"), ("ablation", "stem stride 1"),
    }  # fmt: skip
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert page in capsys.readouterr().out
    assert "| stem stride 4 | 0.02 M |" in page

    for contender in ("ConvNeXt", "ResNet-10 of width 8"):
        own = [record for record in records if record.settings["contender"] == contender]
        tried = {r.settings["candidate"]: r.metrics["validation_top1"] for r in own if r.settings["phase"] == "tuning"}
        (chosen,) = {record.settings["candidate"] for record in own if record.settings["phase"] == "final"}
        assert len(tried) >= 3
        assert tried[chosen] == max(tried.values())

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}
    script.main(["--rehearse", "--out", str(tmp_path), "--only", "ablation"])
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("record.json")}


@pytest.mark.medium
def test_epochs_follow_from_time_and_speed(script: Any) -> None:
    plan = importlib.import_module("small_data_plan")
    (candidate,) = plan.full_plan()[2].contenders["small_data"]

    assert plan.with_epochs(candidate, 20_000, 36, 45_000).recipe.schedule.epochs == 16
    assert plan.with_epochs(candidate, 20_000, 36, 45_000).recipe.schedule.warmup_epochs == pytest.approx(1.6)
    assert plan.with_epochs(candidate, 100, 1, 45_000).recipe.schedule.epochs == 1


@pytest.mark.medium
def test_contenders_on_a_gpu_have_the_intended_sizes(script: Any) -> None:
    plan = importlib.import_module("small_data_plan")

    for part in plan.full_plan():
        for contender, candidates in part.contenders.items():
            for candidate in candidates:
                with torch.device("meta"):
                    network = candidate.spec.build(10)
                millions = sum(weight.numel() for weight in network.parameters()) / 1e6
                assert {"ResNet-18": 11, "ResNet-50": 23}.get(contender, 0) <= millions < 24
                assert "ResNet" in contender or millions < 10


@pytest.mark.medium
def test_an_interval_pools_the_spread_of_all_rows(script: Any) -> None:
    table = importlib.import_module("small_data_table")
    groups = [[70.0, 72.0], [75.0, 77.0], [60.0, 62.0]]  # each with a variance of 2: one spread of sqrt(2)

    interval = table.pooled_interval(groups[1], groups[0], groups)

    margin = 3.1824 * 2**0.5  # Student's t for 3 degrees of freedom, times sqrt(2 (1/2 + 1/2))
    assert (interval.low, interval.high) == pytest.approx((5 - margin, 5 + margin), abs=1e-3)
    assert table.pooled_interval([70.0], [60.0], [[70.0], [60.0]]) is None


def test_the_recipe_names_the_network_that_the_script_trains(script: Any) -> None:
    words = shlex.split(RECIPES["small_data"].command)
    fields = {name: ast.literal_eval(value) for name, _, value in (word.partition("=") for word in words[-4:])}

    with torch.device("meta"):
        network = create_model(words[words.index("--model") + 1], **fields)

    assert 5e6 < sum(weight.numel() for weight in network.parameters()) < 10e6
    plan = importlib.import_module("small_data_plan")
    assert plan.full_plan()[0].contenders["ConvNeXt"][0].spec.fields == fields
