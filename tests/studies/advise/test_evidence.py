from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from modernet.recipes import get_recipe
from modernet.studies.advise import AdviseRequest, evidence
from modernet.studies.advise.allowance import Allowance
from modernet.studies.advise.evidence import Evidence, measure_costs, with_probes
from modernet.studies.compare.candidates import Candidate, parse_candidates
from modernet.training import Interrupted

CPU = torch.device("cpu")


@pytest.mark.medium
def test_candidates_are_measured_side_by_side_and_one_that_fails_has_an_error(tmp_path: Path) -> None:
    candidates = parse_candidates(["convnext_test", "resnet_test", "coatnet_test"])  # the last is for 64 pixels
    found = measure_costs(candidates, 32, 10, CPU, tmp_path, allowance(1.0))
    assert set(found) == {"convnext_test", "resnet_test", "coatnet_test"}
    for name in ("convnext_test", "resnet_test"):
        evidence = found[name]
        assert evidence.error is None
        assert evidence.latency_ms is not None
        assert evidence.images_per_second is not None
        assert evidence.images_per_second > 0.5 * 1000 / evidence.latency_ms  # a batch is no slower by far
        assert evidence.memory_mb is None or evidence.memory_mb > 0.1
    assert "takes 64x64" in (found["coatnet_test"].error or "")


def test_measuring_stops_on_request_and_with_the_budget(tmp_path: Path) -> None:
    for stopped in (allowance(1.0, asked=True), allowance(100.0)):
        with pytest.raises(Interrupted):
            measure_costs(parse_candidates(["resnet_test"]), 32, 10, CPU, tmp_path, stopped)


@pytest.mark.parametrize(("spent", "rounds"), [(1.0, 5), (50.0, 1)])
def test_in_a_hurry_each_candidate_has_one_turn(
    spent: float, rounds: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[int] = []

    def turns(calls: dict[str, Any], *arguments: Any, rounds: int, **options: Any) -> Iterator[dict[str, float]]:
        for each in range(rounds):
            begun.append(each)
            yield dict.fromkeys(calls, 0.5 + each)  # the first turn is the fastest

    monkeypatch.setattr(evidence, "rounds_in_turns", turns)
    (found,) = measure_costs(parse_candidates(["resnet_test"]), 32, 10, CPU, tmp_path, allowance(spent)).values()
    assert (found.latency_ms, found.images_per_second) == (500.0, 16.0)
    assert len(begun) == rounds


def test_a_candidate_in_which_three_processes_ended_is_not_measured(tmp_path: Path) -> None:
    (tmp_path / ".resnet_test.attempts").write_text("3")
    found = measure_costs(parse_candidates(["resnet_test"]), 32, 10, CPU, tmp_path, allowance(1.0))
    assert (found["resnet_test"].error or "").startswith("3 processes have ended in it")


def test_features_are_probed_as_far_as_there_is_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    probed: list[str] = []

    def probe(candidate: Candidate, *arguments: Any) -> dict[str, float]:
        probed.append(candidate.label)
        return {"linear": 50.0}

    monkeypatch.setattr(evidence, "probe_features", probe)
    candidates = [replace(each, published="some") for each in parse_candidates(["resnet_test", "convnext_test"])]
    measured = {"resnet_test": Evidence(images_per_second=100.0), "convnext_test": Evidence(images_per_second=10.0)}
    request = AdviseRequest("photos", get_recipe("quick"))
    found = with_probes(
        candidates, measured, request, 32, CPU, 1000, tmp_path, allowance(1.0)
    )  # 10 s and 100 s, of 33 s
    assert probed == ["resnet_test"]
    assert found == {**measured, "resnet_test": replace(measured["resnet_test"], probes={"linear": 50.0})}
    with pytest.raises(Interrupted):
        with_probes(candidates, measured, request, 32, CPU, 1000, tmp_path, allowance(1.0, asked=True))


def test_a_budget_that_is_too_short_names_one_that_is_not() -> None:
    short = Allowance(4, 5.0, lambda: 6.0, lambda: False)
    assert "the budget of 5s was over before all 4 candidates were measured; give --budget 54s or more" in str(
        short.too_short()
    )
    for _ in range(4):
        short.count()
    assert "give --budget 27s or more, or fewer --candidates" in str(short.too_short())


def allowance(spent: float, *, asked: bool = False) -> Allowance:
    """Return that of one candidate and a budget of 100 seconds."""
    return Allowance(1, 100.0, lambda: spent, lambda: asked)
