from __future__ import annotations

import pytest
import torch

from modernet import progress
from modernet.benchmark import Peaks
from modernet.processes import ALONE, Processes
from modernet.recipes import get_recipe
from modernet.training import cost, pace
from modernet.training.cost import Cost
from modernet.training.pace import Pace

CPU = torch.device("cpu")
RECIPE = get_recipe("quick").replace(epochs=10)


@pytest.fixture(autouse=True)
def peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that multiplies 1 TFLOP/s."""
    monkeypatch.setattr(cost, "measure_peaks", lambda device, dtypes: Peaks({"float32": 1.0}, None))


def test_the_line_says_speed_share_and_hours() -> None:
    """A picture takes 6e9 operations, three passes of 1e9 multiply-accumulates: 50 a second are 0.3 TFLOP/s."""
    of_run = Cost(1e9, RECIPE, 18_000, CPU, ALONE)

    assert of_run.line(50.0, done=0.5) == (
        "cost: 50 images/s on one device, 30 % of the measured peak; 1.0 h in all, 30.0 min to finish"
    )


def test_several_devices_have_several_peaks() -> None:
    of_run = Cost(1e9, RECIPE, 18_000, CPU, Processes(0, 2))

    assert "on 2 devices, 15 % of the measured peak" in of_run.line(50.0, done=0.0)


def test_the_line_says_what_a_device_draws_where_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "watts", lambda device: 300.0)

    assert (
        Cost(1e9, RECIPE, 18_000, CPU, ALONE).line(50.0, done=0.0).endswith("300 W a device now, about 0.3 kWh in all")
    )


def test_the_line_is_said_once_when_the_speed_can_be_trusted(capsys: pytest.CaptureFixture[str]) -> None:
    now = Pace(CPU)
    now.go_on_from({"train_seconds": 21.0, "timed_seconds": 21.0, "timed_samples": 1050.0})
    of_run = Cost(1e9, RECIPE, 18_000, CPU, ALONE)
    with progress.shown():
        notes = [of_run(now, 0.5) for _ in range(2)]

    assert notes == [", 30 % of the measured peak"] * 2
    assert capsys.readouterr().err.count("cost: 50 images/s") == 1


def test_before_the_speed_is_known_nothing_is_said() -> None:
    assert Cost(1e9, RECIPE, 18_000, CPU, ALONE)(Pace(CPU), 0.0) == ""


def test_energy_is_power_times_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "watts", lambda device: 100.0)
    now = Pace(CPU)
    now.go_on_from({"train_seconds": 5.0, "timed_seconds": 0.0, "timed_samples": 0.0, "energy_joules": 500.0})
    now.start()
    now.stop(steps=1, samples=16)

    assert now.energy_joules == pytest.approx(500 + 100 * (now.seconds - 5))


def test_a_device_that_does_not_tell_has_no_energy() -> None:
    now = Pace(CPU)
    now.start()
    now.stop(steps=1, samples=16)

    assert now.energy_joules is None
    assert "energy_joules" not in now.counters()


def test_results_are_read_about_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 2.0])
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(clock))
    now = Pace(CPU)
    now.start()
    now.stop(steps=100, samples=1600)

    assert now.steps_to_read == 25
