"""The race between ways to run a network, by a clock that only they move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import modernet.deploy.running.racing as racing
from modernet import progress
from modernet.deploy import Precision, Work
from modernet.deploy.running.racing import Clock, prepare, race


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, in a list."""
    time = [100.0]
    monkeypatch.setattr(racing.time, "monotonic", lambda: time[0])
    return time


@dataclass(frozen=True)
class Preparing:
    """A way that takes some time to prepare."""

    name: str
    seconds: float
    now: list[float]
    precision: Precision = "exact"
    compiled: bool = False

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def prepare(self, work: Work) -> Any:
        self.now[0] += self.seconds
        return nn.Identity()


class AnotherKind(Preparing):
    __hash__ = Preparing.__hash__


WORK = Work(nn.Identity(), torch.zeros(4, 1, 1, 1), torch.float32)


def test_a_way_is_not_begun_when_the_time_is_over_or_too_short_for_its_kind(now: list[float]) -> None:
    ways: list[Any] = [Preparing("plain", 1, now), Preparing("long", 30, now), Preparing("long too", 30, now)]
    ways += [AnotherKind("other", 25, now), AnotherKind("late", 1, now)]
    runners, failures, _ = prepare(WORK, ways, lambda runner: "", Clock(60, start=100.0), reserve=0.1)
    assert [str(way) for way in runners] == ["plain", "long", "other"]
    assert {str(way): failure for way, failure in failures.items()} == {
        "long too": "not tried: too little of the 60 s was left",
        "late": "not tried: too little of the 60 s was left",
    }
    assert now == [156.0]


def test_another_way_is_begun_in_any_case_until_there_is_one(now: list[float]) -> None:
    ways: list[Any] = [Preparing("plain", 70, now), Preparing("wrong", 5, now), AnotherKind("second", 5, now)]
    ways.append(AnotherKind("third", 5, now))
    checked = iter(["it is wrong", ""])
    runners, failures, _ = prepare(WORK, ways, lambda runner: next(checked), Clock(60, start=100.0), reserve=0.1)
    assert [str(way) for way in runners] == ["plain", "second"]
    assert [str(way) for way in failures] == ["wrong", "third"]


def test_ways_of_another_precision_or_compiled_ones_are_of_another_kind(now: list[float]) -> None:
    ways: list[Any] = [Preparing("plain", 1, now), Preparing("compiled", 30, now, compiled=True)]
    ways += [Preparing("eager", 1, now), Preparing("int8", 20, now, "int8"), Preparing("int8 too", 20, now, "int8")]
    runners, failures, took = prepare(WORK, ways, lambda runner: "", Clock(60, start=100.0), reserve=0.1)
    assert [str(way) for way in runners] == ["plain", "compiled", "eager", "int8"]
    assert [str(way) for way in failures] == ["int8 too"]
    assert list(took.values()) == pytest.approx([30, 1, 20])


def test_progress_says_what_is_tried_and_the_time_left(now: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    ways: list[Any] = [Preparing("plain", 1, now), Preparing("quick", 2, now), Preparing("slow", 20, now)]
    with progress.shown(progress.LineDisplay(interval_s=0)):
        prepare(WORK, ways, lambda runner: "", Clock(60, start=100.0), reserve=0)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.endswith("quick, 59 s left") for line in lines)
    assert any(line.endswith("slow, 57 s left") for line in lines)


class Timed(nn.Module):
    """Pretends to take the seconds of a list, in turn, and counts its calls."""

    def __init__(self, *seconds: float) -> None:
        super().__init__()
        self.seconds, self.calls = seconds, 0

    def forward(self, images: Tensor) -> float:
        self.calls += 1
        return self.seconds[(self.calls - 1) % len(self.seconds)]


class Raising(nn.Module):
    def forward(self, images: Tensor) -> float:
        raise MemoryError("too large")


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(racing, "seconds_of", lambda call, repeats, device: repeats * call())


def named(name: str, precision: Precision = "exact") -> Any:
    return Preparing(name, 0, [], precision)


@pytest.mark.usefixtures("turns")
def test_a_way_that_is_slower_for_certain_has_no_further_turns() -> None:
    fast, close, slow = Timed(1.0, 1.1), Timed(1.05, 1.15), Timed(2.0, 2.2)
    runners: dict[Any, Any] = {named("slow"): slow, named("fast"): fast, named("close"): close}
    speeds, _ = race(runners, WORK.images, Clock(60))
    assert {str(way): speed for way, speed in speeds.items()} == {
        "fast": 4.0, "close": pytest.approx(4 / 1.05), "slow": pytest.approx(4 / 2.1)
    }  # fmt: skip
    assert (fast.calls, close.calls, slow.calls) == (5, 5, 2)


@pytest.mark.usefixtures("turns")
def test_runners_that_are_slower_than_an_exact_one_for_certain_are_released() -> None:
    runners: dict[Any, Any] = {
        named("plain"): Timed(4.0, 4.1),
        named("slow"): Timed(3.0, 3.1),
        named("reduced", "bf16"): Timed(2.0, 2.1),
        named("exact"): Timed(1.0, 1.1),
        named("faster", "bf16"): Timed(0.6, 0.7),
        named("fastest", "int8"): Timed(0.4, 0.5),
        named("raising", "int8"): Raising(),
    }
    speeds, failures = race(runners, WORK.images, Clock(60))
    assert [str(way) for way in runners] == ["plain", "exact", "faster", "fastest"]
    assert len(speeds) == 6
    assert {str(way): line for way, line in failures.items()} == {"raising": "MemoryError: too large"}


@pytest.mark.usefixtures("turns")
def test_a_race_ends_when_the_time_is_over_but_every_way_has_a_turn() -> None:
    first, second = Timed(1.0, 1.1), Timed(1.05, 1.15)
    one, other = named("first"), named("second")
    assert race({one: first, other: second}, WORK.images, Clock(0)) == ({one: 4.0, other: pytest.approx(4 / 1.05)}, {})
    assert (first.calls, second.calls) == (1, 1)
