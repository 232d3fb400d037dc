"""Networks of a comparison are timed in turns, and again only where that is needed."""

from __future__ import annotations

import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from modernet import progress
from modernet.benchmark import measure as benchmark
from modernet.benchmark import workload
from modernet.benchmark.case import Case
from modernet.report.compare.compared import Measurement
from modernet.studies.compare.measuring import costs, measure_costs
from modernet.training import Interrupted
from modernet.weights import NetworkSpec
from small_compared import Trained, train, train_on_photos

pytestmark = pytest.mark.medium
CPU = torch.device("cpu")
WIDER = NetworkSpec("model", "resnet_test", {"width": 16, "depths": [1, 1]})
SPEEDS = {"images_per_second", "latency_ms", "best_images_per_second"}
EVERYTHING = {*SPEEDS, "peak_memory_mb", "params", "macs"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_on_photos(tmp_path_factory.mktemp("compared"))


@pytest.fixture(scope="module")
def runs(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two networks that were trained at different sizes."""
    wider = train(trained.data, tmp_path_factory.mktemp("wider") / "run", size=48, spec=WIDER)
    return {"narrow": trained.run, "wide": wider.run}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "_TURN_S", 0.002)
    monkeypatch.setattr(costs, "_SEARCH_S", 0.1)


class Timed(list[list[Case]]):
    """The cases that were timed, call by call."""


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Timed:
    calls = Timed()

    def noting(cases: list[Case], *arguments: Any, **options: Any) -> Any:
        calls.append(cases)
        return benchmark.measure(cases, *arguments, **options)

    monkeypatch.setattr(costs, "measure", noting)
    return calls


def by_name(measured: tuple[Measurement, ...]) -> dict[str, Measurement]:
    return {each.metric.name: each for each in measured}


def test_every_network_is_timed_in_turns_at_its_own_size(
    runs: dict[str, Path], trained: Trained, timed: Timed, tmp_path: Path
) -> None:
    found = measure_costs(runs, tmp_path, CPU, request=trained.asked)
    together, *others = [[(case.model, case.batch, case.size) for case in cases] for cases in timed]
    assert together == [("narrow", 8, (32, 32)), ("narrow", 1, (32, 32)), ("wide", 8, (48, 48)), ("wide", 1, (48, 48))]
    assert [[case[0] for case in cases] for cases in others] == [[name, f"{name}, fastest way"] for name in runs]

    assert list(found) == list(runs)
    for measured in map(by_name, found.values()):
        assert set(measured) == EVERYTHING
        for name in SPEEDS:
            low, high = measured[name].low, measured[name].high
            assert low is not None
            assert high is not None
            assert 0 < low <= measured[name].values[0] <= high
        assert measured["best_images_per_second"].values[0] >= measured["images_per_second"].values[0]
        assert measured["images_per_second"].metric.higher_is_better
        assert not any(measured[name].metric.higher_is_better for name in ("latency_ms", "peak_memory_mb", "params"))
    assert by_name(found["narrow"])["params"].values == (trained.record.settings["params"],)
    assert by_name(found["narrow"])["macs"].values == (trained.record.settings["macs"],)


def test_networks_are_measured_again_only_if_another_one_joins(
    runs: dict[str, Path], trained: Trained, timed: Timed, tmp_path: Path
) -> None:
    one = {"narrow": runs["narrow"]}
    first = measure_costs(one, tmp_path, CPU, request=trained.asked)
    assert measure_costs(one, tmp_path, CPU, request=trained.asked) == first
    assert len(timed) == 2  # as it is, and the fastest way

    both = measure_costs(runs, tmp_path, CPU, request=trained.asked)
    assert [case.model for case in timed[2]] == ["narrow", "narrow", "wide", "wide"]
    assert measure_costs(dict(reversed(runs.items())), tmp_path, CPU, request=trained.asked) == both
    assert len(timed) == 5


def test_a_network_without_enough_memory_leaves_the_others(
    runs: dict[str, Path],
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prepare(case: Case, *arguments: Any) -> Any:
        if (case.model, case.batch) == ("wide", 8):
            raise torch.OutOfMemoryError("out of memory")
        return original(case, *arguments)

    original = workload.prepare
    monkeypatch.setattr(benchmark, "prepare", prepare)
    with progress.shown():
        found = measure_costs(runs, tmp_path, CPU, request=trained.asked)
    assert set(by_name(found["narrow"])) == EVERYTHING
    assert set(by_name(found["wide"])) == {"latency_ms", "params", "macs"}
    assert "wide: no throughput: out of memory: a batch of 8 did not fit into" in capsys.readouterr().err
    with progress.shown():
        assert measure_costs(runs, tmp_path, CPU, request=trained.asked) == found
    assert "wide: no throughput: out of memory" in capsys.readouterr().err


def test_a_network_whose_fastest_way_fails_has_the_usual_one(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(costs, "fastest_way", fail)
    with progress.shown():
        found = measure_costs({"a": trained.run}, tmp_path, CPU, request=trained.asked)
    assert set(by_name(found["a"])) == EVERYTHING - {"best_images_per_second"}
    assert "a: no fastest way: RuntimeError: no kernel" in capsys.readouterr().err


def test_what_is_the_same_for_all_networks_is_said_once(
    runs: dict[str, Path],
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def say(*arguments: Any) -> None:
        progress.say("3 images are few")
        raise RuntimeError("no kernel")

    monkeypatch.setattr(costs, "fastest_way", say)
    with progress.shown():
        measure_costs(runs, tmp_path, CPU, request=trained.asked)
    assert capsys.readouterr().err.count("3 images are few") == 1


def test_the_fastest_way_scales_the_throughput_by_a_ratio_within_rounds(trained: Trained, tmp_path: Path) -> None:
    measure_costs({"a": trained.run}, tmp_path, CPU, request=trained.asked)
    file = tmp_path / "costs.json"
    stored = json.loads(file.read_text())
    stored["measured"]["costs"]["a"]["images_per_second"] = [100.0, 90.0, 110.0]
    for ratio, expected in (([3.0, 2.0, 4.0], (300.0, 200.0, 400.0)), ([0.9, 0.8, 1.1], (100.0, 100.0, 110.0))):
        stored["measured"]["fastest"]["a"] = {"ratio": ratio}
        file.write_text(json.dumps(stored))
        best = by_name(measure_costs({"a": trained.run}, tmp_path, CPU, request=trained.asked)["a"])
        found = best["best_images_per_second"]
        assert (*found.values, found.low, found.high) == pytest.approx(expected)


def test_stopped_measurements_go_on(runs: dict[str, Path], trained: Trained, timed: Timed, tmp_path: Path) -> None:
    measure = partial(measure_costs, runs, tmp_path, CPU, request=trained.asked)
    for checks in (0, 2, 6):  # before anything, while networks are prepared, after two rounds
        calls = itertools.count()
        with pytest.raises(Interrupted):
            measure(should_stop=lambda calls=calls, checks=checks: next(calls) >= checks)  # type: ignore[misc]
        assert not (tmp_path / "costs.json").exists()

    calls = itertools.count()
    with pytest.raises(Interrupted):
        measure(should_stop=lambda: next(calls) >= 4 + 10)  # four cases, ten rounds
    assert (tmp_path / "costs.json").is_file()
    before = len(timed)
    assert set(by_name(measure()["wide"])) == EVERYTHING
    assert [len(cases) for cases in timed[before:]] == [2, 2]
