"""Tests with work of known duration."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch

from modernet.machine import timing
from modernet.machine.timing import speed_ratio, time_in_turns

CPU = torch.device("cpu")


def test_a_sleep_takes_at_least_its_length() -> None:
    times = time_in_turns({"sleep": lambda: time.sleep(0.02)}, CPU, rounds=3, turn_s=0.0)["sleep"]
    assert len(times) == 3
    assert min(times) >= 0.02  # with no upper bound, because other processes may delay it


def test_a_time_is_that_of_one_call_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = 0.0, 0

    def work() -> None:
        nonlocal now, calls
        now, calls = now + 0.02, calls + 1

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now))
    times = time_in_turns({"work": work}, CPU, rounds=5, turn_s=0.1, warm_up=2)["work"]
    assert times == pytest.approx([0.02] * 5)
    assert calls == 2 + 1 + 5 * 5  # warm-up, calibration, and five calls in each turn of 0.1 s


def test_calls_take_turns_after_the_warm_up() -> None:
    order: list[str] = []

    def call(name: str) -> None:
        order.append(name)
        time.sleep(0.01)

    time_in_turns({"a": lambda: call("a"), "b": lambda: call("b")}, CPU, rounds=3, turn_s=0.0, warm_up=1)
    assert order == ["a", "a", "b", "b", *"ababab"]  # warm-up and calibration, then rounds


def test_ratios_do_not_depend_on_a_varying_speed_of_the_machine() -> None:
    slow = [1.0, 2.0, 4.0, 8.0, 3.0, 5.0]
    ratio = speed_ratio([seconds / 2 for seconds in slow], slow)
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 2.0, 2.0)


def test_the_interval_contains_the_median_and_grows_with_the_noise() -> None:
    calm = speed_ratio([1.0, 1.01, 0.99, 1.0, 1.02], [2.0] * 5)
    noisy = speed_ratio([1.0, 1.5, 0.7, 1.0, 1.9], [2.0] * 5)
    assert calm.low <= calm.median <= calm.high
    assert noisy.high - noisy.low > calm.high - calm.low


def test_ratios_of_different_rounds_are_rejected() -> None:
    with pytest.raises(ValueError, match="3 and 2 rounds"):
        speed_ratio([1.0] * 3, [1.0] * 2)
