from __future__ import annotations

import pytest
import torch

from modernet import progress
from modernet.machine.peaks import product_tflops
from modernet.machine.settings import set_tf32
from modernet.processes import ALONE, Processes
from modernet.recipes import get_recipe
from modernet.training.watching import cost, pace
from modernet.training.watching.cost import Cost
from modernet.training.watching.pace import Pace

CPU = torch.device("cpu")
RECIPE = get_recipe("quick").replace(epochs=10)


@pytest.fixture(autouse=True)
def peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that multiplies 1 TFLOP/s."""
    monkeypatch.setattr(cost, "product_tflops", lambda device, dtype: 1.0)


def after_21_seconds() -> Pace:
    """50 images a second."""
    now = Pace(CPU, 0.5)
    now.resume({"train_seconds": 21.0, "timed_seconds": 21.0, "timed_samples": 1050.0})
    return now


def said(processes: Processes, done: float, capsys: pytest.CaptureFixture[str]) -> str:
    with progress.shown():
        Cost(1e9, RECIPE, 18_000, CPU, processes)(after_21_seconds(), done)
    return capsys.readouterr().err.strip()


def test_the_cost_has_throughput_share_of_peak_and_hours(capsys: pytest.CaptureFixture[str]) -> None:
    """An image takes 6e9 operations, three passes of 1e9 multiply-accumulates: 50 a second are 0.3 TFLOP/s."""
    assert said(ALONE, 0.5, capsys) == (
        "cost: 50 images/s on one device, 30 % of the measured peak; 1.0 h in all, 30.0 min to finish"
    )


def test_several_devices_have_several_peaks(capsys: pytest.CaptureFixture[str]) -> None:
    assert "on 2 devices, 15 % of the measured peak" in said(Processes(0, 2), 0.0, capsys)


def test_the_cost_has_the_power_of_devices_that_report_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cost, "watts", lambda device: 300.0)

    assert said(ALONE, 0.0, capsys).endswith("300 W a device now, about 0.3 kWh in all")


def test_the_cost_is_printed_once_when_the_throughput_is_stable(capsys: pytest.CaptureFixture[str]) -> None:
    of_run = Cost(1e9, RECIPE, 18_000, CPU, ALONE)
    early = Pace(CPU, 0.5)
    early.resume({"train_seconds": 19.0, "timed_seconds": 19.0, "timed_samples": 950.0})
    with progress.shown():
        notes = [of_run(pace, 0.5) for pace in (Pace(CPU, 0.5), early, after_21_seconds(), after_21_seconds())]

    assert notes == ["", ""] + [", 30 % of the measured peak"] * 2
    assert capsys.readouterr().err.count("cost: 50 images/s") == 1


def test_measuring_the_peak_of_a_gpu_restores_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "product_tflops", lambda device, dtype: set_tf32(False))
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    Cost(1e9, RECIPE, 18_000, torch.device("cuda"), ALONE)(after_21_seconds(), 0.0)

    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == before


def test_a_device_without_a_known_peak_has_no_share() -> None:
    assert product_tflops(torch.device("mps"), "float32") is None


def test_energy_is_power_times_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "watts", lambda device: 100.0)
    now = Pace(CPU, 0.5)
    now.resume({"train_seconds": 5.0, "timed_seconds": 0.0, "timed_samples": 0.0, "energy_joules": 500.0})
    now.start()
    now.stop(steps=1, samples=16)

    assert now.energy_joules == pytest.approx(500 + 100 * (now.seconds - 5))


def test_a_device_that_does_not_report_its_power_has_no_energy() -> None:
    now = Pace(CPU, 0.5)
    now.start()
    now.stop(steps=1, samples=16)

    assert now.energy_joules is None
    assert "energy_joules" not in now.counters()


def test_results_are_read_about_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 2.0])
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(clock))
    now = Pace(CPU, 0.5)
    now.start()
    now.stop(steps=100, samples=1600)

    assert now.steps_to_read == 25
