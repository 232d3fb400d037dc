"""How speeds of training are measured; the trainings are made up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from modernet.recipes import get_recipe
from modernet.studies import Machines
from modernet.studies.compare import CompareRequest, speeds
from modernet.studies.compare.candidates import parse_candidates
from modernet.studies.compare.speeds import training_speeds
from modernet.training import Interrupted

NAMES = ("resnet_test", "convnext_test")


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """The steps of each turn, by candidate; every step takes a quarter of a second."""
    steps: dict[str, list[int]] = {name: [] for name in NAMES}
    seconds = 0.0

    def prepare(candidate: Any, *arguments: Any) -> Callable[..., NoReturn]:
        def train(should_stop: Callable[[], bool], **options: Any) -> NoReturn:
            nonlocal seconds
            steps[candidate.label].append(0)
            while not should_stop():
                steps[candidate.label][-1] += 1
                seconds += 0.25
            raise Interrupted("stopped")

        return train

    monkeypatch.setattr(speeds, "prepare", prepare)
    monkeypatch.setattr(time, "perf_counter", lambda: seconds)
    return steps


@pytest.mark.parametrize(("hurry", "expected"), [(False, [2, 2, 2]), (True, [1])])
def test_in_a_hurry_each_candidate_is_measured_by_one_step(
    hurry: bool, expected: list[int], turns: dict[str, list[int]], tmp_path: Path
) -> None:
    found, failed = measure(tmp_path, lambda: False, lambda: hurry)
    assert found == dict.fromkeys(NAMES, 100 / 25 / 0.25)
    assert failed == {}
    assert turns == dict.fromkeys(NAMES, expected)


@pytest.mark.usefixtures("turns")
def test_measuring_stops_on_request(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="stopped while speeds were measured"):
        measure(tmp_path, lambda: True, lambda: False)


@pytest.mark.usefixtures("turns")
def test_a_candidate_in_which_three_processes_ended_has_no_speed(tmp_path: Path) -> None:
    (tmp_path / f".{NAMES[0]}.attempts").write_text("3")
    found, failed = measure(tmp_path, lambda: False, lambda: False)
    assert set(found) == {NAMES[1]}
    assert "3 processes have ended in it" in failed[NAMES[0]]


def test_one_that_runs_out_of_memory_has_no_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(candidate: Any, *arguments: Any) -> Callable[..., NoReturn]:
        def train(**options: Any) -> NoReturn:
            raise torch.OutOfMemoryError("12 GiB are not there")

        return train

    monkeypatch.setattr(speeds, "prepare", prepare)
    found, failed = measure(tmp_path, lambda: False, lambda: False)
    assert (found, failed) == ({}, dict.fromkeys(NAMES, "out of memory in training"))


def measure(
    folder: Path, stop: Callable[[], bool], hurry: Callable[[], bool]
) -> tuple[dict[str, float], dict[str, str]]:
    """Measure on 100 images, 25 steps an epoch."""
    request = CompareRequest(NAMES, "photos", get_recipe("quick").replace(batch_size=4))
    resources = Machines(workers=1, device=torch.device("cpu")).resources(folder, one_core=True)
    return training_speeds(parse_candidates(NAMES), request, 100, resources, folder, stop, hurry)
